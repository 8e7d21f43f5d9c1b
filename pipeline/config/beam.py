"""Which Beam runner does the work of the steps that are Beam pipelines."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from components.common import schema

BeamStep = Literal["TfdsExampleGen", "StatisticsGen", "Evaluator", "Predict"]

_ALL_CORES = ("--direct_running_mode=multi_threading", "--direct_num_workers=0")

# Where workers of other machines find segline and its libraries.
_ENVIRONMENTS = ("--environment_config", "--sdk_container_image")
# What remote runners can't do without.
_NEEDED = {
    "PortableRunner": ("--job_endpoint",),
    "FlinkRunner": ("--flink_master",),
    "SparkRunner": ("--spark_master_url",),
    "DataflowRunner": ("--project", "--region", "--temp_location", "--sdk_container_image"),
}


class BeamStepConfig(schema.Config):
    """A Beam runner and its options."""

    runner: Literal[
        "DirectRunner", "PortableRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"
    ] = Field(default="DirectRunner", description="Beam's runner")
    args: tuple[str, ...] = Field(
        default=(),
        description="its options, such as --job_endpoint=…; the DirectRunner takes threads on "
        "all cores unless --direct_… says otherwise",
    )

    @pydantic.model_validator(mode="after")
    def _check(self) -> BeamStepConfig:
        for arg in self.args:
            if not arg.startswith("--") or arg.startswith("--runner"):
                raise ValueError(f"args: {arg!r}: options are written as --name=value, each one")
        needed = _NEEDED.get(self.runner, ())
        missing = [name for name in needed if not self._has(name)]
        if missing:
            raise ValueError(f"args: {self.runner} needs {' and '.join(missing)}")
        if needed and not self._has(*_ENVIRONMENTS):
            raise ValueError(
                f"args: {self.runner} needs to know where its workers find segline: "
                "--environment_type=EXTERNAL --environment_config=HOST:PORT of a worker pool, or "
                "--sdk_container_image"
            )
        return self

    def pipeline_args(self) -> list[str]:
        """All options for Beam, the runner's name included."""
        args = [f"--runner={self.runner}", *self.args]
        if self.runner == "DirectRunner" and not self._has("--direct_"):
            args += _ALL_CORES
        if not self._has("--sdk_container_image"):
            # Without an image TFX packs its own source for each step; the workers have it.
            args.append("--sdk_container_image=segline")
        return args

    def _has(self, *names: str) -> bool:
        return any(arg.startswith(names) for arg in self.args)


class BeamConfig(BeamStepConfig):
    """The same for all Beam steps, unless a step has its own."""

    steps: dict[BeamStep, BeamStepConfig] = Field(
        default_factory=dict,
        description="by step name (TfdsExampleGen, StatisticsGen, Evaluator; Predict: "
        "`segline predict --beam`), where one has another runner (the same keys)",
    )

    def args_of(self, step: BeamStep) -> list[str]:
        """All options for one step's Beam pipeline."""
        return self.steps.get(step, self).pipeline_args()
