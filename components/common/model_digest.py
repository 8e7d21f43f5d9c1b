"""Which model it is, wherever a copy of it lies."""

from __future__ import annotations

import hashlib
import os

import tensorflow as tf

from components.common.export_files import is_export, sha256_of

# In the metadata of Parquet files of `segline predict --beam`: the digest of the model that made
# them, and whether it was asked for mirror images too (`true` or `false`).
MODEL_KEY, FLIP_KEY = "segline.model", "segline.flip"

# (The index has the checksum of each variable: tensorflow/core/util/tensor_bundle.)
_TOLD_BY = ("saved_model.pb", os.path.join("variables", "variables.index"))


def digest_of(path: str) -> str:
    """SHA-256 of what a model is made of.

    Args:
      path: a SavedModel, in a bucket too, or an export's file on a disk.

    Raises:
      tf.errors.OpError, OSError: it can't be read.
    """
    if is_export(path):
        return sha256_of(path)
    digest = hashlib.sha256()
    for name in _TOLD_BY:
        with tf.io.gfile.GFile(os.path.join(path, name), "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()
