"""What a config must be like to work on a cluster: told before anything is sent there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.common.errors import UserError
from pipeline.config.inputs import inputs
from pipeline.config.loading import PipelineConfig

_BUCKET = "gs://"


def check(config: PipelineConfig) -> None:
    """Looks for what can't work.

    Raises:
      UserError: one line for each problem.
    """
    problems = [*_metadata(config), *_root(config), *_paths(config), *_serving(config)]
    if problems:
        raise UserError("\n".join(problems))


def _metadata(config: PipelineConfig) -> Iterator[str]:
    if config.run.metadata.backend == "sqlite":
        yield "run.metadata.backend: steps on several machines need a server: mysql or postgresql"


def _root(config: PipelineConfig) -> Iterator[str]:
    root = config.run.root
    if "://" in root:
        return  # the config takes no other scheme than gs://
    if not os.path.isabs(root):
        yield (
            f"run.root: {root} must be absolute, below a volume's mount_path, or a bucket "
            f"({_BUCKET}…)"
        )
    elif not config.kubeflow.is_mounted(root):
        yield f"run.root: {root} lies below no volume of kubeflow.volumes"


def _paths(config: PipelineConfig) -> Iterator[str]:
    """Files and folders that the steps open: in a pod there is only what is mounted."""
    paths: dict[str, str | None] = {
        "dataset.data_dir": config.dataset.data_dir,
        "run.serving_dir": config.run.serving_dir,
        **inputs(config),
    }
    for key, path in paths.items():
        if path and "://" not in path and not config.kubeflow.is_mounted(path):
            yield (
                f"{key}: {path} is not to be seen in a pod: put it below the mount_path of one of "
                "kubeflow.volumes or kubeflow.config_maps"
            )
    if not config.dataset.data_dir and "TFDS_DATA_DIR" not in config.kubeflow.environment:
        yield (
            "dataset.data_dir: in a pod TFDS's own folder can't be written, and is gone with the "
            "pod: name one below the mount_path of a volume"
        )


def _serving(config: PipelineConfig) -> Iterator[str]:
    """TFX's own InfraValidator wants to know its pod and namespace (tfx@1.16.0
    utils/kube_utils.py:229), which Kubeflow does not tell."""
    limits = config.infra_validator
    if limits.server == "clean_process":
        return
    if limits.tensorflow_serving.platform != "kubernetes":
        yield "infra_validator.tensorflow_serving.platform: in a pod there is no Docker"
    known = {*config.kubeflow.environment, *config.kubeflow.pod_fields}
    if not {"KFP_POD_NAME", "KFP_NAMESPACE"} <= known:
        yield (
            "infra_validator.server: tensorflow_serving needs kubeflow.pod_fields: {KFP_POD_NAME: "
            "metadata.name, KFP_NAMESPACE: metadata.namespace}; where Pod Security is `restricted` "
            "its pod is refused, and clean_process is what works"
        )
