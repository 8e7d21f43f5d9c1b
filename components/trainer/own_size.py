"""Answers at the pictures' own sizes, from probabilities at the model's."""

from __future__ import annotations

import tensorflow as tf

from components.common.picture_fit import cut_out
from components.common.telemetry import class_shares


def probabilities_at(probabilities: tf.Tensor, box: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The probabilities of each pixel of one picture.

    They are resized, and not the mask: edges stay smooth.

    Args:
      probabilities: float32 [height, width, classes], at the model's size.
      box: int64 [4], where in them the picture lies.
      size: int64 [2], height and width wanted.

    Returns:
      float32 [*size, classes].
    """
    return tf.image.resize(cut_out(probabilities, box), tf.cast(size, tf.int32))


def masks_at_size(probabilities: tf.Tensor, boxes: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Masks at the pictures' own sizes, as PNG files.

    Args:
      probabilities: float32 [batch, height, width, classes].
      boxes: int64 [batch, 4], where in them the pictures lie.
      sizes: int64 [batch, 2], height and width of each picture.

    Returns:
      string [batch]; grey PNGs whose values are class indices.
    """

    def encode(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return _encode(_classes_at(*one))

    return tf.map_fn(
        encode, (probabilities, boxes, sizes), fn_output_signature=tf.TensorSpec([], tf.string)
    )


def masks_and_shares_at_size(
    probabilities: tf.Tensor, boxes: tf.Tensor, sizes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same, and each class's share of each mask: float32 [batch, classes]."""
    num_classes = probabilities.shape[-1]

    def encode(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        mask = _classes_at(*one)
        return _encode(mask), class_shares(mask, num_classes)

    return tf.map_fn(
        encode,
        (probabilities, boxes, sizes),
        fn_output_signature=(
            tf.TensorSpec([], tf.string),
            tf.TensorSpec([num_classes], tf.float32),
        ),
    )


def _classes_at(probabilities: tf.Tensor, box: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.argmax(probabilities_at(probabilities, box, size), axis=-1)


def _encode(mask: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(tf.cast(mask, tf.uint8)[..., tf.newaxis])
