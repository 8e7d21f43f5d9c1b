"""Executor of Exporter."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.common import counts, export_files, schema
from components.common.export_config import ExportConfig
from components.common.model_exports import ModelExport
from components.exporter.exporting import Data, export_all
from components.exporter.result import ExportResult, write_result

_NOT_BLESSED = "not made: the model itself is not blessed"


class Executor(base_executor.BaseExecutor):
    """Converts, judges, and writes one ModelExport for each export that is asked for."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Exports one model; what fails or is refused is told on its artifact, the run goes on."""
        self._log_startup(input_dict, output_dict, exec_properties)
        wanted = [ExportConfig(**one) for one in json.loads(exec_properties["wanted"])]
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
        whole = artifact_utils.get_single_instance(output_dict["exports"])
        with tempfile.TemporaryDirectory(prefix="segline-exports-") as folder:
            if blessing.get_int_custom_property("blessed"):
                results = export_all(
                    path_utils.serving_model_path(model.uri),
                    _data(input_dict["examples"], exec_properties["split"]),
                    wanted,
                    exec_properties["at"],
                    folder,
                )
            else:
                results = [
                    ExportResult(one.file, one.format, one.quantize, reason=_NOT_BLESSED)
                    for one in wanted
                ]
            # TFX lets an output have several artifacts whose folders lie in that of the output.
            output_dict["exports"] = [_publish(one, folder, whole.uri) for one in results]


def _data(examples: Sequence[types.Artifact], split: str) -> Data:
    def files(name: str) -> list[str]:
        return fileio.glob(os.path.join(artifact_utils.get_split_uri(examples, name), "*"))

    total = counts.count_examples(artifact_utils.get_single_instance(examples), schema.TRAIN)
    return Data(files(schema.TRAIN), total, files(split))


def _publish(result: ExportResult, folder: str, base: str) -> types.Artifact:
    """The artifact of one export, its file and its record in a folder of its own."""
    artifact = ModelExport()
    artifact.uri = os.path.join(base, result.file)
    fileio.makedirs(artifact.uri)
    made = os.path.join(folder, result.file)
    if os.path.exists(made):
        fileio.copy(made, os.path.join(artifact.uri, result.file))
    write_result(result, artifact.uri)
    texts = {
        export_files.FILE: result.file,
        "format": result.format,
        "quantize": result.quantize,
        export_files.SHA256: result.sha256,
        export_files.REASON: result.reason,
    }
    for name, text in texts.items():
        artifact.set_string_custom_property(name, text)
    artifact.set_int_custom_property(export_files.BLESSED, int(result.blessed))
    if result.sha256:
        artifact.set_int_custom_property("size_bytes", result.size_bytes)
        numbers = {
            schema.MEAN_IOU: result.mean_iou,
            "agreement": result.agreement,
            "latency_ms": result.latency_ms,
            "model_mean_iou": result.model_mean_iou,
            **{schema.class_metric("iou", name): iou for name, iou in result.class_iou.items()},
        }
        for name, value in numbers.items():
            if value == value:  # ML Metadata's databases know no NaN
                artifact.set_float_custom_property(name, value)
    return artifact
