"""The pipeline's examples: their files, and what single ones hold."""

from __future__ import annotations

import io
import os

import tensorflow as tf
from PIL import Image

from components.common import schema


def bytes_of(record: bytes, *names: str) -> list[bytes]:
    """The values of some of an example's bytes features, in the names' order.

    Args:
      record: a serialized tf.Example.
      names: of features that have one value.
    """
    feature = tf.train.Example.FromString(record).features.feature
    return [feature[name].bytes_list.value[0] for name in names]


def unlabelled(picture: bytes, classes: schema.ClassTable, size: tuple[int, int] = (1, 1)) -> bytes:
    """An example of a picture without a mask, for signatures that want one: it is of one class.

    Args:
      picture: encoded as the model takes it.
      classes: the class table.
      size: width and height of the mask.
    """
    mask = io.BytesIO()
    Image.new("L", size, next(iter(classes.stored_values().values()))).save(mask, "PNG")
    example = tf.train.Example()
    feature = example.features.feature
    feature[schema.IMAGE].bytes_list.value.append(picture)
    feature[schema.MASK].bytes_list.value.append(mask.getvalue())
    return example.SerializeToString()


def split_files(uri: str, split: str) -> list[str]:
    """The TFRecord files of a split; none: there is no such split, or it is gone.

    Args:
      uri: of the Examples artifact.
      split: name of the split.
    """
    return sorted(tf.io.gfile.glob(os.path.join(uri, f"Split-{split}", "*")))
