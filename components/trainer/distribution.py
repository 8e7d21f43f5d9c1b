"""Where training runs: one CPU, one GPU, several GPUs, or several workers."""

from __future__ import annotations

import json
import os

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
    """Short text for logs: `1 CPU`, `2 GPU x 2 workers`."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    device = f"{gpus} GPU" if gpus else "1 CPU"
    workers = number_of_workers()
    replicas = strategy.num_replicas_in_sync
    text = device if workers == 1 else f"{device} x {workers} workers"
    return text if replicas == 1 else f"{text} ({replicas} replicas)"
