"""Which runs are listed, and what a model's graph has, on a store with several pipelines."""

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import lineage
from components.common.errors import UserError
from pipeline.metadata import artifacts, history

RUNS = 30  # of each pipeline: more steps than are asked for one by one
STEPS = {"Trainer": "Model", "Evaluator": "ModelBlessing", "Pusher": "PushedModel"}


class Store:
    """Runs of two pipelines in turn, as TFX writes them; a baseline is the model before."""

    def __init__(self):
        self.store = MetadataStore(mlmd.ConnectionConfig(fake_database=mlmd.FakeDatabaseConfig()))
        put = self.store
        self.contexts = {
            name: put.put_context_type(mlmd.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node")
        }
        self.kinds = {
            name: put.put_artifact_type(mlmd.ArtifactType(name=name)) for name in STEPS.values()
        }
        self.steps = {name: put.put_execution_type(mlmd.ExecutionType(name=name)) for name in STEPS}
        self.baseline = {}
        self.models = {"one": [], "two": []}
        for number in range(RUNS):
            for pipeline in self.models:
                self.add_run(pipeline, f"{pipeline}-{number:03d}", number)

    def context(self, kind, name):
        known = self.store.get_context_by_type_and_name(kind, name)
        if known is None:
            context = mlmd.Context(type_id=self.contexts[kind], name=name)
            known = self.store.get_contexts_by_id(self.store.put_contexts([context]))[0]
        return known

    def add_run(self, pipeline, run_id, number):
        made = {}
        for step, kind in STEPS.items():
            inputs = [(artifact, key) for key, artifact in made.items()]
            if step == "Evaluator" and pipeline in self.baseline:
                inputs.append((self.baseline[pipeline], "baseline_model"))
            output = mlmd.Artifact(type_id=self.kinds[kind], uri=f"/{run_id}/{step}")
            for name in ("blessed", "pushed"):
                output.custom_properties[name].int_value = 1
            output.custom_properties["pushed_version"].string_value = str(number)
            events = [
                (artifact, event(key, mlmd.Event.INPUT, artifact.id)) for artifact, key in inputs
            ] + [(output, event(kind.lower(), mlmd.Event.OUTPUT))]
            execution = mlmd.Execution(
                type_id=self.steps[step], last_known_state=mlmd.Execution.COMPLETE
            )
            contexts = [
                self.context("pipeline", pipeline),
                self.context("pipeline_run", run_id),
                self.context("node", f"{pipeline}.{step}"),
            ]
            ids = self.store.put_execution(execution, events, contexts)[1]
            (made[kind.lower()],) = self.store.get_artifacts_by_id([ids[-1]])
        self.baseline[pipeline] = made["model"]
        self.models[pipeline].append(made)


def event(key, kind, artifact_id=0):
    result = mlmd.Event(type=kind)
    if artifact_id:
        result.artifact_id = artifact_id
    result.path.steps.add(key=key)
    result.path.steps.add(index=0)
    return result


@pytest.fixture(scope="module")
def filled():
    return Store()


@pytest.mark.parametrize("limit", [1, 7, RUNS, None])
def test_a_pipelines_own_runs_are_listed_newest_first(filled, limit):
    runs = history.list_runs(filled.store, "one", limit)
    expected = [f"one-{number:03d}" for number in reversed(range(RUNS))][:limit]
    assert [run.id for run in runs] == expected
    assert all(list(run.steps) == list(STEPS) for run in runs)
    assert runs[0].made("Trainer", "model").uri == f"/{expected[0]}/Trainer"


def test_only_the_outputs_that_are_wanted_are_read(filled):
    (run,) = history.list_runs(filled.store, "one", 1, outputs_of=["Trainer"])
    (whole,) = history.list_runs(filled.store, "one", 1)
    assert list(run.steps) == list(whole.steps) and run.output("Trainer", "model") is not None
    others = [step for name, step in run.steps.items() if name != "Trainer"]
    assert others and not any(step.outputs for step in others)


def test_the_run_before_one_is_found_whatever_came_after(filled):
    fifth = history.find_run(filled.store, "one", "one-005")
    assert [run.id for run in history.list_runs(filled.store, "one", 2, before=fifth)] == [
        "one-004",
        "one-003",
    ]
    oldest = history.find_run(filled.store, "one", "one-000")
    assert history.list_runs(filled.store, "one", 1, before=oldest) == []


def test_an_old_run_is_found(filled):
    assert history.find_run(filled.store, "two", "two-000").id == "two-000"
    assert history.find_run(filled.store, "two", "latest~2").id == f"two-{RUNS - 3:03d}"
    with pytest.raises(UserError, match="30 runs begin so"):
        history.find_run(filled.store, "two", "two-")


def test_models_are_found_in_their_own_pipeline(filled):
    found = [artifacts.find_model(filled.store, "two", name).uri for name in ("latest", "4")]
    assert found == [f"/two-{RUNS - 1:03d}/Pusher", "/two-004/Pusher"]
    model = artifacts.find_model(filled.store, "two", "/two-011/Trainer/Format-Serving")
    assert model.id == filled.models["two"][11]["model"].id
    with pytest.raises(UserError, match="knows no such model"):
        artifacts.find_model(filled.store, "one", "/two-011/Trainer")


def test_a_graph_ends_at_earlier_models(filled):
    """Unless they are asked for themselves."""
    third, second = filled.models["one"][3], filled.models["one"][2]
    graph = lineage.upstream(filled.store, [third["pushedmodel"].id])
    assert {node.uri for node in graph.artifacts} == {
        *("/one-003/Trainer", "/one-003/Evaluator", "/one-003/Pusher", "/one-002/Trainer")
    }
    assert {node.run_id for node in graph.executions} == {"one-003"}
    both = lineage.upstream(filled.store, [third["pushedmodel"].id, second["pushedmodel"].id])
    assert {node.run_id for node in both.executions} == {"one-002", "one-003"}
