"""What each task of the package runs: `pipeline.kubeflow.node`, for one node or beside them."""

from collections.abc import Callable
from typing import Any

from kfp import dsl

from components.common.cpus import VARIABLE
from pipeline.config.kubeflow import StepConfig, cores
from pipeline.config.loading import PipelineConfig

# No `from __future__ import annotations`: kfp reads the annotations of tasks.

DECISION = "Changes"
END = "RunEnd"
VERDICT = "Verdict"
_HTML_STEP = "Reporter"
_METRICS_STEP = "Evaluator"
# Kubeflow's launcher puts the executor's input here, as JSON; kfp has no name for it.
_EXECUTOR_INPUT = "{{$}}"
# What the libraries say at import would fill the first screen of every log.
_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # a pod may have no home that it can write to
}


def node_component(node_id: str, image: str, settings: str) -> Any:
    """A container component that runs one node.

    Args:
      node_id: of the node.
      image: that it runs in.
      settings: the config as JSON.
    """
    what = ["--node", node_id]
    if node_id == _HTML_STEP:

        def with_page(
            overrides: str, job_id: str, report: dsl.Output[dsl.HTML]
        ) -> dsl.ContainerSpec:
            more = ["--report", report.path]
            return _container(image, settings, overrides, job_id, *what, *more)

        return _named(with_page, node_id)
    if node_id == _METRICS_STEP:

        def with_metrics(
            overrides: str, job_id: str, metrics: dsl.Output[dsl.Metrics]
        ) -> dsl.ContainerSpec:
            more = ["--executor-input", _EXECUTOR_INPUT]
            return _container(image, settings, overrides, job_id, *what, *more)

        return _named(with_metrics, node_id)

    def node(overrides: str, job_id: str) -> dsl.ContainerSpec:
        return _container(image, settings, overrides, job_id, *what)

    return _named(node, node_id)


def decision_component(image: str, settings: str) -> Any:
    """A container component that decides whether there is a reason to train."""

    def decide(
        overrides: str,
        job_id: str,
        changed: dsl.OutputPath(str),  # type: ignore[valid-type]  # kfp's way to say it
    ) -> dsl.ContainerSpec:
        return _container(image, settings, overrides, job_id, "--changed", changed)

    return _named(decide, DECISION)


def run_component(name: str, flag: str, image: str, settings: str) -> Any:
    """A container component about the run as a whole: its end, or its verdict."""

    def whole(overrides: str, job_id: str) -> dsl.ContainerSpec:
        return _container(image, settings, overrides, job_id, flag)

    return _named(whole, name)


def call(component: Any, overrides: Any) -> dsl.PipelineTask:
    """A task of a component.

    The run's id is an *input*: only there does Kubeflow's driver resolve it
    (kubeflow/pipelines@2.17.0 backend/src/v2/driver/resolve.go:440). In the arguments the
    launcher leaves the placeholder as it is, and all runs would be one.
    """
    return component(overrides=overrides, job_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)


def set_up(task: dsl.PipelineTask, name: str, step: StepConfig, config: PipelineConfig) -> None:
    """Gives a task its name, resources and environment.

    Args:
      task: the task.
      name: the step's, for people.
      step: what holds for it.
      config: the pipeline's.
    """
    task.set_display_name(name)
    task.set_caching_options(False)  # TFX's cache knows better
    for value, setter in (
        (step.cpu_request, task.set_cpu_request),
        (step.cpu_limit, task.set_cpu_limit),
        (step.memory_request, task.set_memory_request),
        (step.memory_limit, task.set_memory_limit),
        (step.accelerator, task.set_accelerator_type),
    ):
        if value is not None:
            setter(value)
    if step.accelerator:
        task.set_accelerator_limit(step.accelerator_count)
    else:
        # Beam's workers would each take all of a GPU that they happen to see.
        task.set_env_variable("CUDA_VISIBLE_DEVICES", "")
    own = {}
    if step.cpu_request and not step.cpu_limit:
        # Where there is no limit to be seen, it would count the node's processors.
        own[VARIABLE] = str(cores(step.cpu_request))
    for variable, value in (_QUIET | own | config.kubeflow.environment).items():
        task.set_env_variable(variable, value)
    if step.retries:
        # A node that was taken away is not back at once. How long tries may go on, kfp caps at
        # an hour: see `runner`.
        task.set_retry(num_retries=step.retries, backoff_duration="30s", backoff_factor=2.0)


def _named(function: Callable[..., dsl.ContainerSpec], name: str) -> Any:
    function.__name__ = name  # kfp names the component after it
    return dsl.container_component(function)


def _container(
    image: str, settings: str, overrides: Any, job_id: Any, *more: Any
) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(
        image=image,
        command=["python", "-m", "pipeline.kubeflow.node"],
        args=[*more, "--config", settings, "--overrides", overrides, "--job-id", job_id],
    )
