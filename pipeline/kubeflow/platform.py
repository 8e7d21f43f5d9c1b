"""What Kubernetes is told of each executor, in the words of kfp-kubernetes's proto.

Only fields that Kubeflow Pipelines 2.5 knows: its server refuses a package with others
(kubeflow/pipelines@2.5.0 kubernetes_platform/proto/kubernetes_executor_config.proto).
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.config.kubeflow import StepConfig
from pipeline.config.loading import PipelineConfig


def platform(spec: dict[str, Any], config: PipelineConfig) -> dict[str, Any]:
    """The package's second document.

    Args:
      spec: the first one.
      config: the pipeline's.
    """
    dags = [spec["root"]["dag"]]
    dags += [part["dag"] for part in spec["components"].values() if "dag" in part]
    executors = {}
    for task in (task for dag in dags for task in dag["tasks"].values()):
        component = spec["components"][task["componentRef"]["name"]]
        if "executorLabel" in component:
            name = task["taskInfo"]["name"]
            step = config.kubeflow.settings(name)
            executors[component["executorLabel"]] = _executor(name, step, config)
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _executor(name: str, step: StepConfig, config: PipelineConfig) -> dict[str, Any]:
    settings = config.kubeflow
    result = {
        "pvcMount": [
            {"constant": volume.claim, "mountPath": volume.mount_path}
            for volume in settings.volumes
        ],
        "secretAsEnv": [
            {
                "secretName": secret.secret,
                "keyToEnv": [{"secretKey": secret.key, "envVar": secret.variable}],
            }
            for secret in settings.secrets
        ],
        "configMapAsVolume": [
            {"configMapName": one.name, "mountPath": one.mount_path}
            for one in settings.config_maps
            if one.mount_path
        ],
        "configMapAsEnv": [
            {
                "configMapName": one.name,
                "keyToEnv": [
                    {"configMapKey": key, "envVar": variable}
                    for variable, key in one.variables.items()
                ],
            }
            for one in settings.config_maps
            if one.variables
        ],
        "fieldPathAsEnv": [
            {"name": variable, "fieldPath": field}
            for variable, field in settings.pod_fields.items()
        ],
        "imagePullSecret": [{"secretName": name} for name in settings.image_pull_secrets],
        "imagePullPolicy": settings.image_pull_policy,
        "nodeSelector": {"labels": dict(step.node_selector)} if step.node_selector else None,
        "nodeAffinity": _affinity(step),
        "tolerations": [
            json.loads(toleration.model_dump_json(exclude_none=True))
            for toleration in step.tolerations
        ],
        "podMetadata": _metadata(name, step, config),
        "activeDeadlineSeconds": step.timeout_seconds,
    }
    if step.shared_memory:
        result["emptyDirMounts"] = [
            {
                "volumeName": "shared-memory",
                "mountPath": "/dev/shm",
                "medium": "Memory",
                "sizeLimit": step.shared_memory,
            }
        ]
    return {key: value for key, value in result.items() if value}


def _affinity(step: StepConfig) -> list[dict[str, Any]]:
    """One term for what must hold, all of it; one for each preference."""

    def expression(one: Any) -> dict[str, Any]:
        return {"key": one.key, "operator": one.operator, "values": list(one.values)}

    needed = [expression(one) for one in step.node_affinity if one.weight is None]
    terms: list[dict[str, Any]] = [{"matchExpressions": needed}] if needed else []
    return terms + [
        {"matchExpressions": [expression(one)], "weight": one.weight}
        for one in step.node_affinity
        if one.weight is not None
    ]


def _metadata(name: str, step: StepConfig, config: PipelineConfig) -> dict[str, Any]:
    """Labels by which people find a step's pods, and what the config has."""
    own = {"segline/pipeline": config.name, "segline/step": name}
    parts = {"labels": own | step.labels, "annotations": dict(step.annotations)}
    return {kind: part for kind, part in parts.items() if part}
