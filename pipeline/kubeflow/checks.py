"""What a config must be like to work on a cluster: told before anything is sent there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.common.errors import UserError
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
    elif not _is_mounted(root, config):
        yield f"run.root: {root} lies below no volume of kubeflow.volumes"


def _paths(config: PipelineConfig) -> Iterator[str]:
    """Files and folders that the steps open: in a pod there is only what is mounted."""
    paths: dict[str, str | None] = {
        "dataset.data_dir": config.dataset.data_dir,
        "dataset.leave_out": config.dataset.leave_out,
        "run.serving_dir": config.run.serving_dir,
        "data_validation.schema_path": config.data_validation.schema_path,
    }
    if config.trainer.encoder.weights not in ("imagenet", "none"):
        paths["trainer.encoder.weights"] = config.trainer.encoder.weights
    if tls := config.run.metadata.tls:
        paths |= {f"run.metadata.tls.{name}": path for name, path in tls.model_dump().items()}
    folder = config.dataset.folder
    if folder:
        paths["dataset.folder.images"] = folder.images
        paths["dataset.folder.masks"] = folder.masks
        named = enumerate(folder.annotations)
        paths |= {f"dataset.folder.annotations.{number}": path for number, path in named}
        paths |= {f"dataset.folder.lists.{split}": path for split, path in folder.lists.items()}
        paths |= {f"dataset.folder.rounds.{name}": path for name, path in folder.rounds.items()}
    for key, path in paths.items():
        if path and "://" not in path and not _is_mounted(path, config):
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


def _is_mounted(path: str, config: PipelineConfig) -> bool:
    mounts = [volume.mount_path for volume in config.kubeflow.volumes]
    mounts += [one.mount_path for one in config.kubeflow.config_maps if one.mount_path]
    return any(
        os.path.isabs(path) and os.path.commonpath([os.path.normpath(path), mount]) == mount
        for mount in map(os.path.normpath, mounts)
        if os.path.isabs(mount)
    )
