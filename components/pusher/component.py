"""TFX's Pusher, whose versions come into sight complete and in order."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.components import Pusher
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import (
    artifact_utils,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import io_utils, json_utils, proto_utils

from components.common import schema
from components.common.export_files import PUSHED_FOLDER
from components.common.model_exports import ModelExport, blessed_files
from components.pusher import places, rollout, version_store, warmup
from components.pusher.config import PusherConfig, Stage
from components.pusher.version_store import PARTIAL

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
        asked = json_utils.loads(exec_properties.get("custom_config") or "null") or {}
        exports = blessed_files(input_dict.get("exports", []))
        warm_up = warm_up_pictures(asked, model, input_dict.get("examples", []))
        with version_store.locked(folder):
            version = next_version(folder, int(time.time()))
            stage = push_as(asked.get("stage", "stable"), model, folder, version, exports, warm_up)
        io_utils.copy_dir(model, pushed.uri)
        _add_extras(pushed.uri, exports, warm_up)
        if stage != "stable":
            pushed.set_string_custom_property("stage", stage)
        self._MarkPushed(
            pushed, pushed_destination=os.path.join(folder, version), pushed_version=version
        )


class CompletePusherSpec(standard_component_specs.PusherSpec):
    """TFX's, and the exports that are pushed with the model."""

    INPUTS = {
        **standard_component_specs.PusherSpec.INPUTS,
        "exports": component_spec.ChannelParameter(type=ModelExport, optional=True),
        "examples": component_spec.ChannelParameter(
            type=standard_artifacts.Examples, optional=True
        ),
    }


class CompletePusher(Pusher):
    """The Pusher with that executor.

    Args:
      model: the model.
      model_blessing: the Evaluator's.
      infra_blessing: the InfraValidator's.
      push_destination: a folder of versions.
      exports: ModelExports, of which the blessed ones are pushed in the model's own version.
      settings: as what it is pushed, and with which warm-up.
      examples: Examples, for a warm-up of pictures of a split.
      split: the split.
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
        settings: PusherConfig | None = None,
        examples: types.BaseChannel | None = None,
        split: str = schema.TEST,
    ) -> None:
        settings = settings or PusherConfig()
        # Only what is asked for: what is not, leaves the cache as it was before it could be.
        asked = settings.model_dump(mode="json", include={"stage", "warmup"}, exclude_defaults=True)
        optional = {} if exports is None else {"exports": exports}
        if settings.warmup == "split":
            asked["split"] = split
            optional["examples"] = examples
        # TFX's own makes a specification that has no such input.
        super(Pusher, self).__init__(
            CompletePusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                push_destination=push_destination,
                custom_config=json_utils.dumps(asked or None),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
                **optional,
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
    return str(max([now, *(int(one) + 1 for one in places.known_versions(folder))]))


def warm_up_pictures(
    asked: Mapping[str, Any], model: str, examples: list[types.Artifact]
) -> Sequence[bytes]:
    """The encoded pictures of a version's warm-up; empty: none is asked for.

    Args:
      asked: `warmup`, and the `split`.
      model: the SavedModel.
      examples: of the split.
    """
    kind = asked.get("warmup", "none")
    if kind == "drawn":
        return warmup.drawn_pictures(model)
    if kind == "split":
        folder = artifact_utils.get_split_uri(examples, asked["split"])
        return warmup.split_pictures(fileio.glob(os.path.join(folder, "*")))
    return ()


def push_as(
    stage: Stage,
    model: str,
    folder: str,
    version: str,
    exports: Mapping[str, str] = _NONE,
    warm_up: Sequence[bytes] = (),
) -> Stage:
    """Pushes a version to where its stage has it.

    Args:
      stage: as what it is to be served.
      model: the SavedModel.
      folder: of the versions, which is locked.
      version: the new one.
      exports: as in `push`.
      warm_up: as in `push`.

    Returns:
      As what it is served: the first of all is stable, and while another is pinned it is a canary.
    """
    known = rollout.read(folder)
    if known is None and stage == "stable":
        push(model, folder, version, exports, warm_up)
        return stage
    if known is not None:
        version_store.apply(folder, known)  # what was ended half-way
    new = rollout.pushed(known, version, stage, places.shown(folder))
    push(model, os.path.join(folder, places.ASIDE), version, exports, warm_up)
    version_store.commit(folder, new)
    return "canary" if new.now.canary == version else "stable"


def push(
    model: str,
    folder: str,
    version: str,
    exports: Mapping[str, str] = _NONE,
    warm_up: Sequence[bytes] = (),
) -> None:
    """Copies a SavedModel to `<folder>/<version>`; it is there complete, or not at all.

    Where files can't be renamed at once (`gs://`), `saved_model.pb`, without which no server
    loads a version, comes last.

    Args:
      model: the SavedModel.
      folder: of the versions.
      version: the new one.
      exports: name -> path of what goes into its `assets.extra/exports`.
      warm_up: encoded pictures of the requests that a server warms up with; empty: none.
    """
    target = os.path.join(folder, version)
    if "://" in folder:
        _add_extras(target, exports, warm_up)
        version_store.copy_to_bucket(model, target)
        return
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if name.startswith(PARTIAL):
            shutil.rmtree(os.path.join(folder, name))
    partial = os.path.join(folder, f"{PARTIAL}{version}")
    io_utils.copy_dir(model, partial)
    _add_extras(partial, exports, warm_up)
    os.rename(partial, target)


def _add_extras(version: str, exports: Mapping[str, str], warm_up: Sequence[bytes]) -> None:
    for name, path in exports.items():
        io_utils.copy_file(path, os.path.join(version, PUSHED_FOLDER, name))
    if warm_up:
        warmup.write_requests(version, warm_up)
