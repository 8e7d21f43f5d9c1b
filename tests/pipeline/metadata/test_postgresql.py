from ml_metadata.proto import metadata_store_pb2 as mlmd
from ml_metadata.proto import metadata_store_service_pb2 as service

from pipeline.metadata.postgresql import order_as_asked, order_paths, replace_text


def test_texts_are_replaced_wherever_they_are():
    request = service.PutExecutionRequest()
    request.execution.name = r"a\b"
    request.execution.custom_properties["key"].string_value = r"{\"a\": 1}"
    request.execution.custom_properties["number"].int_value = 7
    request.contexts.add().properties["key"].string_value = "\\"
    request.artifact_event_pairs.add().artifact.uri = r"c:\d"
    before = request.SerializeToString()

    replace_text(request, "\\", "\x1a")
    assert b"\\" not in request.SerializeToString()
    assert request.execution.custom_properties["key"].string_value == '{\x1a"a\x1a": 1}'
    assert request.contexts[0].properties["key"].string_value == "\x1a"
    replace_text(request, "\x1a", "\\")
    assert service.PutExecutionRequest.FromString(before) == request


def test_names_in_lists():
    request = service.GetArtifactsByURIRequest(uris=[r"a\b", "c"])
    replace_text(request, "\\", "/")
    assert request.uris == ["a/b", "c"]


def test_the_key_of_a_path_goes_first():
    step = mlmd.Event.Path.Step
    response = service.GetEventsByExecutionIDsResponse()
    response.events.add().path.steps.extend([step(index=0), step(key="model")])
    response.events.add().path.steps.extend([step(key="schema"), step(index=1)])
    order_paths(response)
    assert [[s.key or s.index for s in e.path.steps] for e in response.events] == [
        ["model", 0],
        ["schema", 1],
    ]
    graph = service.GetLineageSubgraphResponse()
    graph.lineage_subgraph.events.add().path.steps.extend([step(index=0), step(key="model")])
    order_paths(graph)
    assert graph.lineage_subgraph.events[0].path.steps[0].key == "model"


def test_what_is_asked_for_by_ids_comes_in_their_order():
    request = service.GetArtifactsByIDRequest(artifact_ids=[7, 5, 9])
    response = service.GetArtifactsByIDResponse()
    for number in (5, 7, 9):
        response.artifacts.add(id=number)
    order_as_asked(request, response)
    assert [artifact.id for artifact in response.artifacts] == [7, 5, 9]
    events = service.GetEventsByArtifactIDsResponse()
    events.events.add(artifact_id=5)
    order_as_asked(service.GetEventsByArtifactIDsRequest(artifact_ids=[7, 5]), events)
    assert len(events.events) == 1
