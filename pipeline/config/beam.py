"""Which Beam runner does the work of the steps that are Beam pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import pydantic
from pydantic import Field

from components.common import schema
from components.common.errors import UserError

BeamStep = Literal["TfdsExampleGen", "StatisticsGen", "Evaluator", "Predict"]

_ALL_CORES = ("--direct_running_mode=multi_threading", "--direct_num_workers=0")
# Newer DirectRunners (Beam 2.77) try Prism first, for which they load a program from the
# internet. They leave Prism alone where triggers may be unsafe (direct_runner.py:127-128 in
# 2.77); no pipeline of ours has triggers, so that nothing else changes.
_WITHOUT_PRISM = "--allow_unsafe_triggers"

# Where workers of other machines find segline and its libraries.
_ENVIRONMENTS = ("--environment_config", "--sdk_container_image")
# What remote runners can't do without. Flink's and Spark's are Beam job servers: one that
# runs already, or one that is started from its jar.
_NEEDED = {
    "PortableRunner": ("--job_endpoint",),
    "FlinkRunner": ("--flink_job_server_jar", "--flink_master"),
    "SparkRunner": ("--spark_job_server_jar", "--spark_master_url"),
    "DataflowRunner": ("--project", "--region", "--temp_location", "--sdk_container_image"),
}
_JOB_SERVERS = ("FlinkRunner", "SparkRunner")
_ENDPOINT = "--job_endpoint"
# Beam's own limit for an answer (60 s; 300 s with Beam 2.72) is one for the whole work where
# the job service is Beam's own or Prism: `JobServiceHandle.run` (portable_runner.py:185-218 in
# 2.59) opens the job's state stream with it. Flink's and Spark's refuse that stream before the
# job runs (InMemoryJobService.java, `getInvocation`), and get one without a limit after.
# Whether a service answers at all is checked before (components/common/beam_engine.py). Beam's
# own does not notice a lost worker: the limit is what ends the step then.
_LIMIT_SECONDS = 6 * 60 * 60
_REFUSED = {
    "DaskRunner": "loses data and ends with success: with Beam 2.77 a whole branch of a "
    "pipeline's sums was missing",
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

    @pydantic.field_validator("runner", mode="before")
    @classmethod
    def _refuse(cls, name: object) -> object:
        if isinstance(name, str) and name in _REFUSED:
            raise ValueError(f"{name} {_REFUSED[name]}. Take DirectRunner or FlinkRunner")
        return name

    @pydantic.model_validator(mode="after")
    def _check(self) -> BeamStepConfig:
        for arg in self.args:
            if not arg.startswith("--") or arg.startswith("--runner"):
                raise ValueError(f"args: {arg!r}: options are written as --name=value, each one")
        needed = _NEEDED.get(self.runner, ())
        if not (self.runner in _JOB_SERVERS and self._has(_ENDPOINT)):
            missing = [name for name in needed if not self._has(name)]
            if missing:
                other = f", or the {_ENDPOINT} of its job server" * (self.runner in _JOB_SERVERS)
                raise ValueError(f"args: {self.runner} needs {' and '.join(missing)}{other}")
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
        if self.runner == "DirectRunner":
            args.append(_WITHOUT_PRISM)
            if not self._has("--direct_"):
                args += _ALL_CORES
        if self._has(_ENDPOINT) and not self._has("--job_server_timeout", "--job-server-timeout"):
            args.append(f"--job_server_timeout={_LIMIT_SECONDS}")
        if not self._has("--sdk_container_image"):
            # Without an image TFX packs its own source for each step; the workers have it.
            args.append("--sdk_container_image=segline")
        return args

    @classmethod
    def of_args(cls, args: Sequence[str]) -> BeamStepConfig:
        """From a command line's options, `--runner=…` among them.

        Raises:
          UserError: they can't be used.
        """
        runners = [arg.partition("=")[2] for arg in args if arg.startswith("--runner=")]
        others = [arg for arg in args if not arg.startswith("--runner=")]
        try:
            return cls.model_validate(
                {"args": others, **({"runner": runners[-1]} if runners else {})}
            )
        except pydantic.ValidationError as error:
            said = [one["msg"].removeprefix("Value error, ") for one in error.errors()]
            raise UserError(f"--beam-args: {'; '.join(said)}") from error

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

    def args_of_steps(self) -> list[list[str]]:
        """The same for the steps of a run, each kind once."""
        steps = [step for step in get_args(BeamStep) if step != "Predict"]
        return [list(args) for args in dict.fromkeys(tuple(self.args_of(one)) for one in steps)]
