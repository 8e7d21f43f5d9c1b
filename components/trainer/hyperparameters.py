"""What a Tuner has found, as it leaves it in its artifacts.

A hyperparameter's name is the path of a setting, such as `encoder.fine_tune_learning_rate`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def values_of(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Setting -> value.

    Args:
      hyperparameters: the config of KerasTuner's HyperParameters, which TFX hands over.
    """
    return {
        name: json.loads(value) if isinstance(value, str) else value
        for name, value in hyperparameters["values"].items()
    }


def describe(values: Mapping[str, Any]) -> str:
    """For people: `learning_rate 0.004627, decoder.filters [8, 8, 8, 8]`."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def read_config(folder: str) -> dict[str, Any]:
    """What TFX reads from a HyperParameters artifact's folder for `fn_args.hyperparameters`."""
    return _read_file_of(folder)


def read(folder: str) -> dict[str, Any]:
    """Setting -> value, from a HyperParameters artifact's folder."""
    return values_of(read_config(folder))


def read_trials(folder: str) -> list[dict[str, Any]]:
    """The trials that came to their end, from a TunerResults artifact's folder.

    Returns:
      For each `trial_id`, `score` and the hyperparameters.
    """
    return _read_file_of(folder)


def _read_file_of(folder: str) -> Any:
    (name,) = tf.io.gfile.listdir(folder)
    with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
        return json.load(file)
