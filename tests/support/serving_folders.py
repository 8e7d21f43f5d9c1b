"""A serving folder: pushed to, changed, and read as servers read it."""

import os
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.common.served_model import latest_version
from components.pusher import component, places, rollout, version_store


def push(source, folder, version, stage="stable"):
    with version_store.locked(str(folder)):
        assert component.next_version(str(folder), int(version)) == version
        return component.push_as(stage, source, str(folder), version)


def change(folder, step, *arguments):
    """What a command does."""
    folder = str(folder)
    with version_store.locked(folder):
        known = rollout.read(folder) or rollout.begun(places.shown(folder))
        version_store.commit(folder, getattr(rollout, step)(known, *arguments))


def served(folder):
    """What one who takes the newest folder gets."""
    return os.path.basename(latest_version(str(folder)))


def server_config(folder):
    """TensorFlow Serving's own reading of its file: versions by label."""
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((Path(folder) / "models.config").read_text(), message)
    (config,) = message.model_config_list.config
    assert (config.name, config.base_path) == ("segline", "/models/segline/rollout")
    assert config.model_platform == "tensorflow"
    assert config.model_version_policy.WhichOneof("policy_choice") == "all"
    return {label: str(version) for label, version in config.version_labels.items()}


def loaded(folder):
    return places.versions(os.path.join(folder, "rollout"))
