"""The pipeline as a package for Kubeflow Pipelines v2: one container task for each node.

TFX's own runner for the open-source Kubeflow is gone, and what its Vertex AI runner makes
is refused there. A task therefore runs one node by `pipeline.kubeflow.node`; Kubeflow
only has to know order, images and resources.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

import yaml
from kfp import compiler, dsl

from components.common.errors import UserError
from pipeline.config.kubeflow import StepConfig
from pipeline.config.loading import PipelineConfig
from pipeline.ir import compile_pipeline

# No `from __future__ import annotations`: kfp reads the annotations of tasks.

DECISION = "Changes"
_HTML_STEP = "Reporter"
_COMPILED_RUN_ID = "compiled"
# What the libraries say at import would fill the first screen of every log.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}


def package(config: PipelineConfig, only_if_changed: bool = False) -> list[dict[str, Any]]:
    """Compiles a config's pipeline.

    Args:
      config: all settings. Paths in it are those that the containers see.
      only_if_changed: a first task decides whether the nodes run: only where data, config,
        code or libraries are others than those of the latest blessed model.

    Returns:
      The documents of the package: the pipeline (spec 2.1.0), and what only Kubernetes
      knows of.

    Raises:
      UserError: the config can't work on a cluster.
    """
    _check(config)
    nodes = {
        node.pipeline_node.node_info.id: list(node.pipeline_node.upstream_nodes)
        for node in compile_pipeline(_without_secrets(config), _COMPILED_RUN_ID).nodes
    }
    settings = config.model_dump_json(exclude_unset=True)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=config.name.replace("_", "-"), display_name=config.name
    )
    def pipeline(run_id: str = "", overrides: str = "") -> None:
        condition = contextlib.nullcontext()
        if only_if_changed:
            decision = _decision(config.kubeflow.image, settings)(overrides=overrides)
            _set_up(decision, DECISION, config.kubeflow.settings(DECISION), config)
            condition = dsl.If(decision.outputs["changed"] == "true", name="if changed")
        tasks: dict[str, Any] = {}
        with condition:
            for node_id, upstream in nodes.items():
                step = config.kubeflow.settings(node_id)
                image = step.image or config.kubeflow.image
                task = _component(node_id, image, settings)(run_id=run_id, overrides=overrides)
                _set_up(task, node_id, step, config)
                tasks[node_id] = task.after(*(tasks[name] for name in upstream))

    spec = _compiled(pipeline)
    return [spec, {"platforms": {"kubernetes": {"deploymentSpec": _platform(spec, config)}}}]


def write_package(config: PipelineConfig, path: str, only_if_changed: bool = False) -> None:
    """Writes the package as YAML; see `package`.

    Raises:
      UserError: the config can't work on a cluster, or the file can't be written.
    """
    text = yaml.safe_dump_all(package(config, only_if_changed), sort_keys=True)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def _check(config: PipelineConfig) -> None:
    problems = []
    if config.run.metadata.backend == "sqlite":
        problems.append(
            "run.metadata.backend: steps on several machines need a server: mysql or postgresql"
        )
    if "://" not in config.run.root and not os.path.isabs(config.run.root):
        problems.append(
            f"run.root: {config.run.root} must be absolute, below a volume's mount_path, or a "
            "bucket (gs://…, s3://…)"
        )
    elif "://" not in config.run.root and not any(
        config.run.root.startswith(volume.mount_path) for volume in config.kubeflow.volumes
    ):
        problems.append(f"run.root: {config.run.root} lies below no volume of kubeflow.volumes")
    if problems:
        raise UserError("\n".join(problems))


def _without_secrets(config: PipelineConfig) -> PipelineConfig:
    """Enough to know the chain; the password need not be where this is compiled."""
    metadata = config.run.metadata.model_copy(update={"password": None})
    return config.model_copy(update={"run": config.run.model_copy(update={"metadata": metadata})})


def _component(node_id: str, image: str, settings: str) -> Any:
    """A container component that runs one node."""

    def spec(*more: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "pipeline.kubeflow.node"],
            args=["--node", node_id, "--config", settings, *more],
        )

    if node_id == _HTML_STEP:

        def with_page(
            run_id: str, overrides: str, report: dsl.Output[dsl.HTML]
        ) -> dsl.ContainerSpec:
            return spec(*_arguments(run_id, overrides), "--report", report.path)

        return _container(with_page, node_id)

    def node(run_id: str, overrides: str) -> dsl.ContainerSpec:
        return spec(*_arguments(run_id, overrides))

    return _container(node, node_id)


def _decision(image: str, settings: str) -> Any:
    """A container component that decides whether there is a reason to train."""

    def decide(
        overrides: str,
        changed: dsl.OutputPath(str),  # type: ignore[valid-type]  # kfp's way to say it
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=image,
            command=["python", "-m", "pipeline.kubeflow.node"],
            args=["--changed", changed, "--config", settings, *_arguments("", overrides)],
        )

    return _container(decide, DECISION)


def _container(function: Callable[..., dsl.ContainerSpec], name: str) -> Any:
    function.__name__ = name  # kfp names the component after it
    return dsl.container_component(function)


def _arguments(run_id: Any, overrides: Any) -> list[Any]:
    job_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    return ["--run-id", run_id, "--overrides", overrides, "--job-id", job_id]


def _set_up(task: dsl.PipelineTask, node_id: str, step: StepConfig, config: PipelineConfig) -> None:
    task.set_display_name(node_id)
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
    for name, value in (_QUIET | config.kubeflow.environment).items():
        task.set_env_variable(name, value)
    if step.retries:
        # A node that was taken away is not back at once.
        task.set_retry(
            num_retries=step.retries,
            backoff_duration="30s",
            backoff_factor=2.0,
            backoff_max_duration="600s",
        )


def _compiled(pipeline: Any) -> dict[str, Any]:
    """kfp only writes to files."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "package.yaml")
        compiler.Compiler().compile(pipeline, path)
        with open(path, encoding="utf-8") as file:
            return next(yaml.safe_load_all(file))


def _platform(spec: dict[str, Any], config: PipelineConfig) -> dict[str, Any]:
    """What Kubernetes is told of each executor, in the words of kfp-kubernetes's proto."""
    dags = [spec["root"]["dag"]]
    dags += [part["dag"] for part in spec["components"].values() if "dag" in part]
    executors = {}
    for task in (task for dag in dags for task in dag["tasks"].values()):
        component = spec["components"][task["componentRef"]["name"]]
        if "executorLabel" in component:
            step = config.kubeflow.settings(task["taskInfo"]["name"])
            executors[component["executorLabel"]] = _executor(step, config)
    return {"executors": executors}


def _executor(step: StepConfig, config: PipelineConfig) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if config.kubeflow.volumes:
        result["pvcMount"] = [
            {"constant": volume.claim, "mountPath": volume.mount_path}
            for volume in config.kubeflow.volumes
        ]
    if config.kubeflow.secrets:
        result["secretAsEnv"] = [
            {
                "secretName": secret.secret,
                "keyToEnv": [{"secretKey": secret.key, "envVar": secret.variable}],
            }
            for secret in config.kubeflow.secrets
        ]
    if step.node_selector:
        result["nodeSelector"] = {"labels": dict(step.node_selector)}
    if step.tolerations:
        result["tolerations"] = [
            json.loads(toleration.model_dump_json(exclude_none=True))
            for toleration in step.tolerations
        ]
    if step.shared_memory:
        result["emptyDirMounts"] = [
            {
                "volumeName": "shared-memory",
                "mountPath": "/dev/shm",
                "medium": "Memory",
                "sizeLimit": step.shared_memory,
            }
        ]
    if step.timeout_seconds:
        result["activeDeadlineSeconds"] = step.timeout_seconds
    return result
