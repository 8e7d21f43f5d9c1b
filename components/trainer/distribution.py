"""Where training runs: one CPU, one GPU, several GPUs, or several workers."""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import tensorflow as tf


def make_strategy() -> tf.distribute.Strategy:
    """Chooses the strategy by what the machine and `TF_CONFIG` offer.

    Several workers in `TF_CONFIG`: MultiWorkerMirroredStrategy. Several GPUs:
    MirroredStrategy. Otherwise TensorFlow's default, which takes the GPU if there
    is one. Must be called before TensorFlow has run anything where there are
    several workers.
    """
    if number_of_workers() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def number_of_workers() -> int:
    """Workers (the chief included) that `TF_CONFIG` lists; 1 without it."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this worker is the one that writes logs and the model."""
    task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
    if not task or task.get("type") == "chief":
        return True
    cluster = json.loads(os.environ["TF_CONFIG"]).get("cluster", {})
    return task.get("type") == "worker" and task.get("index") == 0 and not cluster.get("chief")


def describe(strategy: tf.distribute.Strategy) -> str:
    """Short text for logs: `CPU`, `2 GPU x 2 workers`."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    device = f"{gpus} GPU" if gpus else "CPU"
    workers = number_of_workers()
    replicas = strategy.num_replicas_in_sync
    text = device if workers == 1 else f"{device} x {workers} workers"
    return text if replicas == 1 else f"{text} ({replicas} replicas)"


def trainable_model(model: keras.Model) -> keras.Model:
    """The model as `fit` needs it where it runs; its layers are the same.

    Must be called under the strategy's scope.
    """
    if number_of_workers() == 1:
        return model
    return MultiWorkerModel(model.inputs, model.outputs[0], name=model.name)


class MultiWorkerModel(keras.Model):
    """A functional model whose `fit` works under MultiWorkerMirroredStrategy.

    Keras 3 fails there in two places (https://github.com/keras-team/keras/issues/20585):
    it looks at the first batch by reducing it over workers that are not in step yet,
    and it averages the metrics over an axis that scalars don't have.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda value: self.distribute_strategy.experimental_local_results(value)[0],
                next(batches),
            )
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Metrics with the axis that Keras averages over."""
        return {name: value[tf.newaxis] for name, value in super().train_step(data).items()}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Metrics with the axis that Keras averages over."""
        return {name: value[tf.newaxis] for name, value in super().test_step(data).items()}
