"""Training that begins with the weights of an earlier model."""

from __future__ import annotations

import os
import tempfile
import warnings

import keras
import tensorflow as tf
from ml_metadata import MetadataStore
from tfx import types
from tfx.dsl.components.common import resolver

from components.common import earlier_models

# In the Model artifact, beside the SavedModel that is pushed: servers don't need it.
_WEIGHTS_FILE = "unet.weights.h5"


class LatestModelOfOtherDataStrategy(resolver.ResolverStrategy):
    """The latest blessed model that was trained on other data than is to be trained on now.

    Inputs: `examples` (Examples, of this run), `model` and `model_blessing` (all that there
    are). Outputs: the same keys, `model` and `model_blessing` holding the chosen one, or
    nothing.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Chooses among the artifacts that ML Metadata knows."""
        found = earlier_models.latest_of_other_data(store, input_dict)
        return {"examples": input_dict["examples"], **found}


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
            with warnings.catch_warnings():
                # Since Keras 3.15 layers that the file has not are only warned of.
                warnings.filterwarnings("error", "Skipping nested container", UserWarning)
                model.load_weights(local)
        except (ValueError, KeyError, UserWarning):
            model.set_weights(before)
            return "its layers are others"
    return ""


def _weights_path(serving_model_dir: str) -> str:
    return os.path.join(os.path.dirname(serving_model_dir.rstrip("/")), _WEIGHTS_FILE)
