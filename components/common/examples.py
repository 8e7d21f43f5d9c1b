"""The pipeline's examples: their files, and what single ones hold."""

from __future__ import annotations

import os

import tensorflow as tf


def bytes_of(record: bytes, *names: str) -> list[bytes]:
    """The values of some of an example's bytes features, in the names' order.

    Args:
      record: a serialized tf.Example.
      names: of features that have one value.
    """
    feature = tf.train.Example.FromString(record).features.feature
    return [feature[name].bytes_list.value[0] for name in names]


def split_files(uri: str, split: str) -> list[str]:
    """The TFRecord files of a split; none: there is no such split, or it is gone.

    Args:
      uri: of the Examples artifact.
      split: name of the split.
    """
    return sorted(tf.io.gfile.glob(os.path.join(uri, f"Split-{split}", "*")))
