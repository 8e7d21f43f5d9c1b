"""The Beam steps of a finished run, each done again alone, on any runner."""

from __future__ import annotations

import dataclasses
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tensorflow_data_validation as tfdv
from example_generation import files, generate
from google.protobuf import json_format
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.common import schema
from components.evaluator.verdict import Verdict, read_verdict
from pipeline import cli
from pipeline.config.beam import BeamConfig
from pipeline.config.loading import PipelineConfig, load_config
from pipeline.pipeline import create_pipeline


@dataclasses.dataclass
class BeamSteps:
    """Each method does a step with the inputs of a run, and returns what came out.

    Attributes:
      place: the workplace of the run (tests/end_to_end/conftest.py).
    """

    place: Any

    @cached_property
    def config(self) -> PipelineConfig:
        """The run's."""
        config = load_config(str(self.place.folder / "tiny.yaml"))
        dataset = config.dataset.model_copy(update={"data_dir": self._data})
        return config.model_copy(update={"dataset": dataset})

    def _component(self, step: str, runner: BeamConfig) -> Any:
        """As the chain has it that is configured so."""
        run = self.config.run.model_copy(update={"beam": runner})
        chain = create_pipeline(self.config.model_copy(update={"run": run}))
        (found,) = [one for one in chain.components if one.id == step]
        return found

    @property
    def _data(self) -> str:
        return str(self.place.folder / "tensorflow_datasets")

    def made(self, key: str) -> Path:
        """The folder of an output of the run."""
        return self.place.outputs(key)[0]

    def examples(self, runner: BeamConfig, folder: Path) -> dict[str, bytes]:
        """TfdsExampleGen's files."""
        spec = self._component("TfdsExampleGen", runner).executor_spec
        generate(self.config.dataset, self.config.classes, folder, spec.beam_pipeline_args)
        return files(folder)

    def statistics(self, runner: BeamConfig, folder: Path) -> dict[str, dict]:
        """StatisticsGen's, by split."""
        outputs = {"statistics": _artifact(standard_artifacts.ExampleStatistics, folder)}
        self._do("StatisticsGen", runner, folder, {"examples": self._examples()}, outputs)
        return read_statistics(folder)

    def transform_graph(self, runner: BeamConfig, folder: Path) -> Path:
        """Transform's."""
        inputs = {
            "examples": self._examples(),
            "schema": _artifact(standard_artifacts.Schema, self.made("SchemaGen/schema")),
        }
        graph = folder / "transform_graph"
        outputs = {"transform_graph": _artifact(standard_artifacts.TransformGraph, graph)}
        self._do("Transform", runner, folder, inputs, outputs)
        return graph

    def verdict(self, runner: BeamConfig, folder: Path) -> Verdict:
        """The Evaluator's."""
        inputs = {
            "examples": self._examples(),
            "model": _artifact(standard_artifacts.Model, self.made("Trainer/model")),
        }
        outputs = {
            "evaluation": _artifact(standard_artifacts.ModelEvaluation, folder / "evaluation"),
            "blessing": _artifact(standard_artifacts.ModelBlessing, folder / "blessing"),
        }
        for (one,) in outputs.values():
            os.makedirs(one.uri)
        self._do("Evaluator", runner, folder, inputs, outputs)
        return read_verdict(outputs["evaluation"][0].uri)

    def predictions(self, runner: BeamConfig, folder: Path) -> list[dict]:
        """The rows of `segline predict --beam --split test`, by picture."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEGLINE_CONFIG", str(self.place.folder / "tiny.yaml"))
            patch.setenv("SEGLINE__DATASET__DATA_DIR", self._data)
            command = ["predict", "--beam", "--split", "test", "--model", self.place.first_model]
            args = ["--beam-args", f"--runner={runner.runner}", *runner.args]
            cli.main([str(one) for one in (*command, "--out", folder, *args)])
        rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
        return sorted(rows, key=lambda row: row["picture"])

    def _examples(self) -> list:
        folder = self.made("TfdsExampleGen/examples")
        found = _artifact(standard_artifacts.Examples, folder)
        found[0].split_names = artifact_utils.encode_split_names(list(schema.SPLITS))
        found[0].set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        return found

    def _do(self, step: str, runner: BeamConfig, folder: Path, inputs: dict, outputs: dict) -> None:
        component = self._component(step, runner)
        spec = component.executor_spec
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=spec.beam_pipeline_args, tmp_dir=str(folder), unique_id="1"
        )
        spec.executor_class(context).Do(inputs, outputs, dict(component.exec_properties))


def read_statistics(folder: Path) -> dict[str, dict]:
    """Split -> statistics, the features in the order of their names."""
    found = {}
    for split in schema.SPLITS:
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        (one,) = json_format.MessageToDict(tfdv.load_stats_binary(str(path)))["datasets"]
        one["features"].sort(key=lambda feature: str(feature["path"]))
        found[split] = one
    return found


def near(value: Any, rel: float = 1e-9) -> Any:
    """The same, but numbers need only be nearly equal: they may be summed in another order."""
    if isinstance(value, dict):
        return {key: near(one, rel) for key, one in value.items()}
    if isinstance(value, list):
        return [near(one, rel) for one in value]
    return pytest.approx(value, rel=rel, nan_ok=True) if isinstance(value, float) else value


def _artifact(kind: type, folder: Path) -> list:
    result = kind()
    result.uri = str(folder)
    return [result]
