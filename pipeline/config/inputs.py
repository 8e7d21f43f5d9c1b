"""The user's own files and folders that a config names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig

_NO_FILES = ("imagenet", "none")  # of trainer.encoder.weights
_PLACES = (os.curdir, os.sep, "~")  # what a preset that is a folder begins with


def inputs(config: PipelineConfig) -> dict[str, str]:
    """What a run reads of what the user has: key -> path, of the keys that are set."""
    paths: dict[str, str | None] = {
        "dataset.leave_out": config.dataset.leave_out,
        "data_validation.schema_path": config.data_validation.schema_path,
    }
    if config.trainer.encoder.weights not in _NO_FILES:
        paths["trainer.encoder.weights"] = config.trainer.encoder.weights
    if (preset := config.trainer.encoder.preset or "").startswith(_PLACES):
        paths["trainer.encoder.preset"] = preset
    secrets = {"run.metadata.password": config.run.metadata.password}
    for number, told in enumerate(config.run.notify):
        if told.webhook:
            secrets[f"run.notify.{number}.webhook.url"] = told.webhook.url
        if told.email:
            secrets[f"run.notify.{number}.email.password"] = told.email.password
    paths |= {f"{key}.file": secret.file for key, secret in secrets.items() if secret}
    if tls := config.run.metadata.tls:
        paths |= {f"run.metadata.tls.{name}": path for name, path in tls.model_dump().items()}
    if folder := config.dataset.folder:
        for name in ("images", "masks", "labelme", "yolo", "run_lengths"):
            paths[f"dataset.folder.{name}"] = getattr(folder, name)
        named = enumerate(folder.annotations)
        paths |= {f"dataset.folder.annotations.{number}": path for number, path in named}
        paths |= {f"dataset.folder.lists.{split}": path for split, path in folder.lists.items()}
        paths |= {f"dataset.folder.rounds.{name}": path for name, path in folder.rounds.items()}
    return {key: path for key, path in paths.items() if path}


def check_inputs(config: PipelineConfig) -> None:
    """Looks whether they are there, as far as that can be seen from here.

    What only a pod sees, below a volume's mount_path, and what lies in a bucket, can't.

    Raises:
      UserError: one line for each that is missing.
    """
    missing = [*_missing(config)]
    if missing:
        raise UserError("\n".join(missing))


def is_here(config: PipelineConfig, path: str) -> bool:
    """Whether a path is one of this machine: not of a bucket, nor of the pods alone."""
    return "://" not in path and not config.kubeflow.is_mounted(path)


def _missing(config: PipelineConfig) -> Iterator[str]:
    for key, path in inputs(config).items():
        place = os.path.expanduser(path)
        if is_here(config, path) and not os.path.exists(place) and not glob.glob(place):
            yield f"{key}: there is no {path}; paths are relative to the working directory"
