"""TFX's Pusher, whose versions come into sight complete and in order."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components import Pusher
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import (
    artifact_utils,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import io_utils, json_utils, proto_utils

from components.common.export_files import PUSHED_FOLDER
from components.common.model_exports import ModelExport, blessed_files

_SAVED_MODEL = "saved_model.pb"
# A server looks at numbers only; these are a push's that was ended.
_PARTIAL = ".partial-"
_NONE: Mapping[str, str] = {}


class Executor(tfx_executor.Executor):
    """Pushes as TFX does to a file system, but aside first, under the next version.

    TFX copies a model to where a server looks, one file after the other; and its version is
    the time, so that after a clock went back a new model would come before the old one.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes one model, if it is blessed."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model = self.GetModelPath(input_dict)
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        folder = destination.filesystem.base_directory
        version = next_version(folder, int(time.time()))
        exports = blessed_files(input_dict.get("exports", []))
        push(model, folder, version, exports)
        io_utils.copy_dir(model, pushed.uri)
        _copy_exports(exports, pushed.uri)
        self._MarkPushed(
            pushed, pushed_destination=os.path.join(folder, version), pushed_version=version
        )


class CompletePusherSpec(standard_component_specs.PusherSpec):
    """TFX's, and the exports that are pushed with the model."""

    INPUTS = {
        **standard_component_specs.PusherSpec.INPUTS,
        "exports": component_spec.ChannelParameter(type=ModelExport, optional=True),
    }


class CompletePusher(Pusher):
    """The Pusher with that executor.

    Args:
      model: the model.
      model_blessing: the Evaluator's.
      infra_blessing: the InfraValidator's.
      push_destination: a folder of versions.
      exports: ModelExports, of which the blessed ones are pushed in the model's own version.
    """

    SPEC_CLASS = CompletePusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        push_destination: pusher_pb2.PushDestination,
        exports: types.BaseChannel | None = None,
    ) -> None:
        # TFX's own makes a specification that has no such input.
        super(Pusher, self).__init__(
            CompletePusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                push_destination=push_destination,
                custom_config=json_utils.dumps(None),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
                **({} if exports is None else {"exports": exports}),
            )
        )


def next_version(folder: str, now: int) -> str:
    """A version that a server takes for the newest.

    Args:
      folder: of the versions.
      now: seconds since the epoch.

    Returns:
      `now`, or one more than the newest version where that is not smaller.
    """
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    versions = [int(name.rstrip("/")) for name in names if name.rstrip("/").isdigit()]
    return str(max([now, *(version + 1 for version in versions)]))


def push(model: str, folder: str, version: str, exports: Mapping[str, str] = _NONE) -> None:
    """Copies a SavedModel to `<folder>/<version>`; it is there complete, or not at all.

    Where files can't be renamed at once (`gs://`), `saved_model.pb`, without which no server
    loads a version, comes last.

    Args:
      model: the SavedModel.
      folder: of the versions.
      version: the new one.
      exports: name -> path of what goes into its `assets.extra/exports`.
    """
    target = os.path.join(folder, version)
    if "://" in folder:
        _copy_exports(exports, target)
        io_utils.copy_dir(model, target, deny_regex_patterns=[r"saved_model\.pb"])
        io_utils.copy_file(os.path.join(model, _SAVED_MODEL), os.path.join(target, _SAVED_MODEL))
        return
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if name.startswith(_PARTIAL):
            shutil.rmtree(os.path.join(folder, name))
    partial = os.path.join(folder, f"{_PARTIAL}{version}")
    io_utils.copy_dir(model, partial)
    _copy_exports(exports, partial)
    os.rename(partial, target)


def _copy_exports(exports: Mapping[str, str], version: str) -> None:
    for name, path in exports.items():
        io_utils.copy_file(path, os.path.join(version, PUSHED_FOLDER, name))
