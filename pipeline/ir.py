"""The pipeline as TFX's intermediate representation."""

from __future__ import annotations

from typing import Any

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from pipeline.config.loading import PipelineConfig
from pipeline.pipeline import create_pipeline


def compile_pipeline(config: PipelineConfig, run_id: str) -> pipeline_pb2.Pipeline:
    """Compiles a config's pipeline for one run."""
    pipeline = compiler.Compiler().compile(create_pipeline(config))
    runtime_parameter_utils.substitute_runtime_parameter(
        pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    return pipeline


def parameters(pipeline: pipeline_pb2.Pipeline) -> dict[str, dict[str, Any]]:
    """Step -> the values that it is given besides its inputs."""
    result: dict[str, dict[str, Any]] = {}
    for node in pipeline.nodes:
        values = node.pipeline_node.parameters.parameters
        result[node.pipeline_node.node_info.id] = {
            name: getattr(value.field_value, value.field_value.WhichOneof("value"))
            for name, value in values.items()
            if value.field_value.WhichOneof("value")
        }
    return result
