"""Training that begins with the weights of an earlier model."""

from __future__ import annotations

import os
import tempfile

import keras
import tensorflow as tf
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy

from components import lineage

# In the Model artifact, beside the SavedModel that is pushed: servers don't need it.
_WEIGHTS_FILE = "unet.weights.h5"


class LatestModelOfOtherDataStrategy(resolver.ResolverStrategy):
    """The latest blessed model that was trained on other data than is to be trained on now.

    A model of the same data is no base for another one: it would have seen every picture
    for twice as many epochs, and a run in which nothing has changed would train again.

    Inputs: `examples` (Examples, of this run), `model` and `model_blessing` (all that there
    are). Outputs: the same keys, `model` and `model_blessing` holding the chosen one, or
    nothing.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Chooses among the artifacts that ML Metadata knows."""
        (examples,) = input_dict["examples"]
        now = examples.get_string_custom_property("dataset_fingerprint")
        data = _data_of_models(store, [model.id for model in input_dict["model"]])
        others = [model for model in input_dict["model"] if data.get(model.id, now) != now]
        chosen = latest_blessed_model_strategy.LatestBlessedModelStrategy().resolve_artifacts(
            store, {"model": others, "model_blessing": list(input_dict["model_blessing"])}
        )
        return {"examples": input_dict["examples"], **chosen}


def save_weights(model: keras.Model, serving_model_dir: str) -> None:
    """Keeps the weights for a training that begins with them.

    Args:
      model: the trained U-Net.
      serving_model_dir: where its SavedModel is, in the Model artifact.
    """
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, _WEIGHTS_FILE)
        model.save_weights(local)
        tf.io.gfile.copy(local, _weights_path(serving_model_dir), overwrite=True)


def load_weights(model: keras.Model, serving_model_dir: str) -> str:
    """Gives a model the weights that an earlier one has ended with.

    Args:
      model: the U-Net, built.
      serving_model_dir: of the earlier model.

    Returns:
      Empty; or why the earlier model's weights can't be taken, the model being as it was.
    """
    path = _weights_path(serving_model_dir)
    if not tf.io.gfile.exists(path):
        return "it has no weights to begin with"
    before = model.get_weights()
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, _WEIGHTS_FILE)
        tf.io.gfile.copy(path, local)
        try:
            model.load_weights(local)
        except (ValueError, KeyError):
            model.set_weights(before)
            return "its layers are others"
    return ""


def _weights_path(serving_model_dir: str) -> str:
    return os.path.join(os.path.dirname(serving_model_dir.rstrip("/")), _WEIGHTS_FILE)


def _data_of_models(store: MetadataStore, model_ids: list[int]) -> dict[int, str]:
    """Model -> fingerprint of the dataset that it was trained on, where that is known."""
    if not model_ids:
        return {}
    trainers = {
        event.execution_id: event.artifact_id
        for event in store.get_events_by_artifact_ids(model_ids)
        if event.type == mlmd.Event.OUTPUT
    }
    read = {
        trainers[event.execution_id]: event.artifact_id
        for event in store.get_events_by_execution_ids(sorted(trainers))
        if event.type == mlmd.Event.INPUT and lineage.role_of(event) == "examples"
    }
    fingerprints = {
        artifact.id: artifact.custom_properties["dataset_fingerprint"].string_value
        for artifact in store.get_artifacts_by_id(sorted(set(read.values())))
    }
    return {model: fingerprints[examples] for model, examples in read.items()}
