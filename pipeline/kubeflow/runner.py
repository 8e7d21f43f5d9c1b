"""The pipeline as a package for Kubeflow Pipelines v2: one container task for each node.

TFX's own runner for the open-source Kubeflow is gone, and what its Vertex AI runner makes
is refused there. A task therefore runs one node by `pipeline.kubeflow.node`; Kubeflow
only has to know order, images and resources.
"""

import contextlib
import os
import tempfile
from typing import Any

import yaml
from kfp import compiler, dsl

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig
from pipeline.ir import compile_pipeline
from pipeline.kubeflow import tasks
from pipeline.kubeflow.checks import check
from pipeline.kubeflow.platform import platform

# No `from __future__ import annotations`: kfp reads the annotations of pipelines.

_COMPILED_RUN_ID = "compiled"
# Argo counts from the first try's start to the last one's end, and a try gets the rest as its
# deadline (argoproj/argo-workflows@v4.0.5 workflow/controller/operator.go:1039): a month, not
# the hour that kfp's SDK allows (kubeflow/pipelines@sdk-2.5.0 dsl/structures.py:381).
_LONGEST_RETRYING = f"{30 * 86400}s"


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
    check(config)
    nodes = {
        node.pipeline_node.node_info.id: list(node.pipeline_node.upstream_nodes)
        for node in compile_pipeline(_without_secrets(config), _COMPILED_RUN_ID).nodes
    }
    settings = config.model_dump_json(exclude_unset=True)
    general = config.kubeflow

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=config.name.replace("_", "-"), display_name=config.name
    )
    def pipeline(overrides: str = "") -> None:
        def add(component: Any, name: str, step_config: Any = None) -> dsl.PipelineTask:
            task = tasks.call(component, overrides)
            tasks.set_up(task, name, step_config or general.settings(name), config)
            return task

        end = tasks.run_component(tasks.END, "--ended", general.image, settings)
        with contextlib.ExitStack() as scopes:
            scopes.enter_context(dsl.ExitHandler(add(end, tasks.END), name="pipeline"))
            if only_if_changed:
                decision = add(tasks.decision_component(general.image, settings), tasks.DECISION)
                changed = dsl.If(decision.outputs["changed"] == "true", name="if changed")
                scopes.enter_context(changed)
            added: dict[str, dsl.PipelineTask] = {}
            for node_id, upstream in nodes.items():
                image = general.settings(node_id).image or general.image
                task = add(tasks.node_component(node_id, image, settings), node_id)
                added[node_id] = task.after(*(added[name] for name in upstream))
            if config.run.refused_fails:
                verdict = tasks.run_component(tasks.VERDICT, "--verdict", general.image, settings)
                once = general.settings(tasks.VERDICT).model_copy(update={"retries": None})
                add(verdict, tasks.VERDICT, once).after(*added.values())

    spec = _compiled(pipeline)
    _let_retries_come(spec)
    return [spec, platform(spec, config)]


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


def _without_secrets(config: PipelineConfig) -> PipelineConfig:
    """Enough to know the chain; the password need not be where this is compiled."""
    metadata = config.run.metadata.model_copy(update={"password": None})
    return config.model_copy(update={"run": config.run.model_copy(update={"metadata": metadata})})


def _compiled(pipeline: Any) -> dict[str, Any]:
    """kfp only writes to files."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "package.yaml")
        compiler.Compiler().compile(pipeline, path)
        with open(path, encoding="utf-8") as file:
            return next(yaml.safe_load_all(file))


def _let_retries_come(spec: dict[str, Any]) -> None:
    dags = [spec["root"]["dag"]]
    dags += [part["dag"] for part in spec["components"].values() if "dag" in part]
    for dag in dags:
        for task in dag["tasks"].values():
            if "retryPolicy" in task:
                task["retryPolicy"]["backoffMaxDuration"] = _LONGEST_RETRYING
