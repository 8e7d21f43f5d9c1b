"""The compiled chain: what runs, after what, with which settings."""

import json

import pytest
from google.protobuf import json_format
from tfx.dsl.compiler.compiler import Compiler
from tfx.proto import infra_validator_pb2

from components.common.errors import UserError
from pipeline.config.loading import load_config
from pipeline.pipeline import create_pipeline


def compiled(**overrides):
    config = load_config("pets", environment=overrides)
    ir = Compiler().compile(create_pipeline(config))
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}


def parameter(node, name):
    return node.parameters.parameters[name].field_value.string_value


def test_the_pusher_waits_for_both_blessings():
    nodes = compiled()
    assert {"Evaluator", "InfraValidator", "Trainer"} <= set(nodes["Pusher"].upstream_nodes)
    assert {"model_blessing", "infra_blessing"} <= set(nodes["Pusher"].inputs.inputs)
    type_name = nodes["InfraValidator"].node_info.type.name
    assert type_name == "components.infra_validator.component.ServingValidator"


def test_the_tuner_is_there_where_the_config_asks_for_it():
    assert "Tuner" not in compiled()
    nodes = compiled(SEGLINE__TUNER="{space: {learning_rate: [0.001, 0.01]}, trials: 3}")
    assert "Tuner" in nodes["Trainer"].upstream_nodes
    assert "hyperparameters" in nodes["Trainer"].inputs.inputs
    settings = json.loads(parameter(nodes["Tuner"], "custom_config"))
    assert json.loads(settings["tuner"])["trials"] == 3
    # How it is searched decides nothing about a training with what was found.
    assert parameter(nodes["Trainer"], "custom_config") == parameter(
        compiled()["Trainer"], "custom_config"
    )


@pytest.mark.parametrize("platform", ["kubernetes", "local_docker"])
def test_tensorflow_serving_takes_the_place_of_the_clean_process(platform):
    nodes = compiled(
        SEGLINE__INFRA_VALIDATOR__SERVER="tensorflow_serving",
        SEGLINE__INFRA_VALIDATOR__MAX_LOAD_SECONDS="77",
        SEGLINE__INFRA_VALIDATOR__TENSORFLOW_SERVING=(f"{{platform: {platform}, tag: 2.21.0}}"),
    )
    node = nodes["InfraValidator"]
    assert node.node_info.type.name.startswith("tfx.components.infra_validator")
    assert {"Evaluator", "InfraValidator"} <= set(nodes["Pusher"].upstream_nodes)
    serving = infra_validator_pb2.ServingSpec()
    json_format.Parse(parameter(node, "serving_spec"), serving)
    assert list(serving.tensorflow_serving.tags) == ["2.21.0"]
    assert serving.WhichOneof("serving_platform") == platform
    assert json.loads(parameter(node, "validation_spec"))["max_loading_time_seconds"] == 77
    request = infra_validator_pb2.RequestSpec()
    json_format.Parse(parameter(node, "request_spec"), request)
    assert request.split_name == "test" and request.num_examples == 8
    # The only signature that takes what TFX sends, whole examples, and gives no features.
    assert list(request.tensorflow_serving.signature_names) == ["evaluate"]


EXPORTS = "[{format: litert, quantize: int8}, {format: onnx}]"


def test_exports_are_a_step_only_where_they_are_asked_for():
    plain, exporting = compiled(), compiled(SEGLINE__PUSHER__EXPORTS=EXPORTS)
    assert set(exporting) - set(plain) == {"Exporter"}
    order = list(exporting)
    assert order.index("Evaluator") < order.index("Exporter") < order.index("Pusher")
    assert {"Evaluator", "Trainer", "TfdsExampleGen"} <= set(exporting["Exporter"].upstream_nodes)
    for step in ("Pusher", "Reporter"):
        assert "Exporter" in exporting[step].upstream_nodes
        assert "exports" in exporting[step].inputs.inputs
        assert "exports" not in plain[step].inputs.inputs
    wanted = json.loads(parameter(exporting["Exporter"], "wanted"))
    assert [(one["format"], one["quantize"]) for one in wanted] == [
        ("litert", "int8"),
        ("onnx", "none"),
    ]
    # All that TFX's cache goes by is as it was in the steps before.
    for step in set(plain) - {"Pusher", "Reporter"}:
        before, now = plain[step], exporting[step]
        assert now.parameters == before.parameters and now.inputs == before.inputs


def test_without_exports_the_pusher_is_told_what_tfx_tells_its_own():
    """What TFX's cache key is made of: type, inputs, parameters (tfx@1.16.0 cache_utils.py)."""
    node = compiled()["Pusher"]
    assert node.node_info.type.name == "components.pusher.component.CompletePusher"
    assert set(node.inputs.inputs) == {"model", "model_blessing", "infra_blessing"}
    assert set(node.parameters.parameters) == {"push_destination", "custom_config"}
    assert parameter(node, "custom_config") == "null"


def test_onnx_needs_its_libraries_before_anything_runs(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pusher.exports: onnx needs .*segline\[exports\]"):
        compiled(SEGLINE__PUSHER__EXPORTS=EXPORTS)
    compiled(SEGLINE__PUSHER__EXPORTS="[{format: litert}]")


def test_vertex_has_no_exports():
    config = load_config("pets", environment={"SEGLINE__PUSHER__EXPORTS": EXPORTS})
    with pytest.raises(UserError, match="pusher.exports: on Vertex AI"):
        create_pipeline(config, managed=True)
