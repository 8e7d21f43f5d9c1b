"""ExampleGen's step without a pipeline around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.common import schema
from components.example_gen import dataset, executor
from components.example_gen.config import DatasetConfig
from pipeline.config.beam import BeamStepConfig

TWO_THREADS = BeamStepConfig(
    args=("--direct_running_mode=multi_threading", "--direct_num_workers=2")
).pipeline_args()


def generate(
    config: DatasetConfig,
    classes: schema.ClassTable,
    folder: Path,
    beam_args: Sequence[str] = TWO_THREADS,
    driver: bool = True,
) -> standard_artifacts.Examples:
    """Runs it.

    Args:
      config: the dataset.
      classes: the values that a mask may have.
      folder: of the artifact.
      beam_args: Beam's options.
      driver: whether there was a driver before, as everywhere but on Vertex AI.
    """
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(beam_args), tmp_dir=str(folder), unique_id="1"
    )
    properties = {"dataset": config.model_dump_json(), "classes": classes.model_dump_json()}
    if driver:
        identity = dataset.identify(dataset.open_dataset(config), config)
        properties["identity"] = identity.to_json()
    executor.Executor(context).Do({}, {"examples": [artifact]}, properties)
    return artifact


def files(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
