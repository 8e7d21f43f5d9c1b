"""What a training run leaves behind for people, in the folder of its ModelRun artifact.

`history.csv`: the numbers of each epoch. `predictions/epoch_…png`: the same pictures,
predicted before the training and after each epoch. `training.json`: all else.
TensorBoard's event files lie beside them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import summary_v2 as hparams

from components.common import readable

HISTORY_FILE = "history.csv"
PICTURES_FOLDER = "predictions"
_TRAINING_FILE = "training.json"


def describe_layers(model: keras.Model) -> list[dict[str, Any]]:
    """The layers of a functional model, nested models as one layer each.

    Args:
      model: built from inputs to outputs.

    Returns:
      For each layer in topological order: `name`, `type`, `inputs` (names of the
      layers before it), `shape` (of the last output, without the batch), `skips` (shapes
      of the outputs before it), `parameters` and `trainable` (numbers of weights).
    """
    described = []
    for layer in model.layers:
        inputs = [
            source[0].name
            for node in layer._inbound_nodes  # Keras has no public way to the graph
            if node.operation is layer
            for source in (tensor._keras_history for tensor in node.input_tensors)
        ]
        outputs = layer.output if isinstance(layer.output, list) else [layer.output]
        described.append(
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "inputs": list(dict.fromkeys(inputs)),
                "shape": list(outputs[-1].shape[1:]),
                "skips": [list(output.shape[1:]) for output in outputs[:-1]],
                "parameters": layer.count_params(),
                "trainable": sum(math.prod(weight.shape) for weight in layer.trainable_weights),
            }
        )
    return described


def write_training(folder: str, values: Mapping[str, Any]) -> None:
    """Writes what is known before the first step, also for TensorBoard's HParams page.

    Args:
      folder: the run's log folder.
      values: JSON values; `trainer` holds the settings, as nested dicts.
    """
    with tf.io.gfile.GFile(os.path.join(folder, _TRAINING_FILE), "w") as file:
        json.dump(values, file, indent=2)
    # In the folder where the epochs' validation metrics are: they become its results.
    with tf.summary.create_file_writer(os.path.join(folder, "validation")).as_default():
        hparams.hparams(
            readable.flatten(values["trainer"]), trial_id=os.path.basename(folder.rstrip("/"))
        )


def write_calibration(folder: str, values: Mapping[str, Any]) -> None:
    """Adds what the training's end has told of the model's confidence, as `calibration`.

    Args:
      folder: the run's log folder, into which `write_training` has written.
      values: JSON values.
    """
    training = {**read_training(folder), "calibration": dict(values)}
    with tf.io.gfile.GFile(os.path.join(folder, _TRAINING_FILE), "w") as file:
        json.dump(training, file, indent=2)


def read_training(folder: str) -> dict[str, Any]:
    """Reads it back; empty where an older version of segline has trained."""
    path = os.path.join(folder, _TRAINING_FILE)
    if not tf.io.gfile.exists(path):
        return {}
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)


def read_history(folder: str) -> dict[str, list[float]]:
    """Column -> values by epoch (from the first); empty where there is no history."""
    path = os.path.join(folder, HISTORY_FILE)
    if not tf.io.gfile.exists(path):
        return {}
    with tf.io.gfile.GFile(path) as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    return {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else {})}


def trim_history(folder: str, epochs: int) -> None:
    """Takes back what the history says beyond so many epochs: they will be trained again."""
    path = os.path.join(folder, HISTORY_FILE)
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            head, *rows = file.read().splitlines()
        column = head.split(",").index("epoch")
        kept = [row for row in rows if int(row.split(",")[column]) < epochs]
        with tf.io.gfile.GFile(path, "w") as file:
            file.write("\n".join([head, *kept]) + "\n")


def read_pictures(folder: str) -> dict[int, bytes]:
    """Epoch -> PNG of a grid (rows: picture, true mask, predicted mask); 0: untrained."""
    paths = tf.io.gfile.glob(os.path.join(folder, PICTURES_FOLDER, "epoch_*.png"))
    result = {}
    for path in sorted(paths):
        with tf.io.gfile.GFile(path, "rb") as file:
            result[int(re.findall(r"\d+", os.path.basename(path))[0])] = file.read()
    return result
