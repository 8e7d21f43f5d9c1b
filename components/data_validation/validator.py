"""TFX's ExampleValidator, made to stop the pipeline when it finds anomalies."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components import ExampleValidator
from tfx.components.example_validator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from components.common.errors import UserError, listed


class Executor(tfx_executor.Executor):
    """Writes the anomalies as TFX does, then fails if there are any."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Validates every split.

        Raises:
          UserError: lists the anomalies, split by split.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        lines = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            uri = artifact_utils.get_split_uri([artifact], split)
            lines += [f"{split}: {line}" for line in describe_anomalies(read_anomalies(uri))]
        if lines:
            schema_uri = artifact_utils.get_single_uri(input_dict["schema"])
            raise UserError(
                f"the examples don't fit the schema:\n{listed(lines)}\n"
                "Mend the data or, if it is right, copy the schema, change it, and name it as "
                f"data_validation.schema_path: {os.path.join(schema_uri, 'schema.pbtxt')}"
            )
        return result


def read_anomalies(split_uri: str) -> anomalies_pb2.Anomalies:
    """Reads the anomalies of one split from its folder."""
    path = os.path.join(split_uri, tfx_executor.DEFAULT_FILE_NAME)
    with tf.io.gfile.GFile(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One readable line for each anomaly."""
    lines = []
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"whole split: {anomalies.dataset_anomaly_info.description}")
    for feature, info in sorted(anomalies.anomaly_info.items()):
        lines.append(f"{feature}: {info.description}")
    return lines


class StrictExampleValidator(ExampleValidator):
    """ExampleValidator whose anomalies fail the step, and with it the run."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
