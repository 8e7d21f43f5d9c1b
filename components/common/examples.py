"""Single serialized tf.Examples."""

from __future__ import annotations

import tensorflow as tf


def bytes_of(record: bytes, *names: str) -> list[bytes]:
    """The values of some of an example's bytes features, in the names' order.

    Args:
      record: a serialized tf.Example.
      names: of features that have one value.
    """
    feature = tf.train.Example.FromString(record).features.feature
    return [feature[name].bytes_list.value[0] for name in names]
