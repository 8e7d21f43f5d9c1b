"""Decoding of encoded pictures and masks, the same wherever a step needs it."""

from __future__ import annotations

import tensorflow as tf


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one picture to RGB.

    JPEG, PNG and GIF (first frame); grey, palette and RGBA pictures come out as
    RGB, the alpha channel is dropped.

    Args:
      encoded: string scalar.

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no picture.
    """
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one mask of raw values.

    Args:
      encoded: string scalar, a single-channel 8-bit PNG (as TFDS stores it).

    Returns:
      uint8 [height, width].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no picture.
    """
    return tf.io.decode_image(encoded, channels=1, expand_animations=False)[..., 0]
