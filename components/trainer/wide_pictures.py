"""PNGs of 16 bits that are sent to the served model: read as the training pictures were."""

from __future__ import annotations

import tensorflow as tf

from components.common import pictures
from components.common.picture_settings import PictureSettings

_WIDE = r"(?s)\x10."  # a PNG's form of 16 bits


def eight_bits(encoded: tf.Tensor, name: str, settings: PictureSettings) -> tf.Tensor:
    """A batch without PNGs of 16 bits: TensorFlow's decoder would keep the high byte of each.

    That is wrong for a camera of 12 bits, and nothing would tell it. Where the training
    pictures had a `value_range`, it is taken here too (as `deep_pictures.to_8_bits` does);
    else nobody knows what is white, and they are refused.

    Args:
      encoded: string [batch], JPEG, PNG or GIF.
      name: of the tensor, for the messages.
      settings: how the training pictures were read.

    Returns:
      string [batch].

    Raises:
      tf.errors.InvalidArgumentError: names the positions in the batch, from 0.
    """
    wide = tf.strings.regex_full_match(pictures.png_form(encoded), _WIDE)
    positions = tf.where(wide)
    if settings.value_range is None:
        problem = (
            f"{name}: a PNG of 16 bits, and nothing says which of its values are black and white: "
            "send 8 bits;"
        )
        with tf.control_dependencies([_none(positions, problem)]):
            return tf.identity(encoded)
    low, high = settings.value_range
    problem = f"{name}: a PNG of 16 bits with values beyond {low:g} to {high:g};"

    def scaled(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = tf.cast(tf.io.decode_png(one, channels=3, dtype=tf.uint16), tf.float64)
        beyond = tf.reduce_any((values < low) | (values > high))
        shown = _shown(values, low, high)
        return tf.io.encode_png(tf.cast(tf.clip_by_value(shown, 0, 255), tf.uint8)), beyond

    narrow, beyond = tf.map_fn(
        scaled,
        tf.boolean_mask(encoded, wide),
        fn_output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool)),
    )
    with tf.control_dependencies([_none(tf.boolean_mask(positions, beyond), problem)]):
        return tf.tensor_scatter_nd_update(encoded, positions, narrow)


def _shown(values: tf.Tensor, low: float, high: float) -> tf.Tensor:
    bits = int(high + 1).bit_length() - 1
    if low == 0 and bits >= 8 and high == (1 << bits) - 1:
        return tf.floor(values / (1 << (bits - 8)))  # the high bits
    return tf.round((values - low) * (255 / (high - low)))


def _none(positions: tf.Tensor, problem: str) -> tf.Operation:
    told = tf.strings.reduce_join(tf.strings.as_string(positions[:, 0]), separator=", ")
    message = tf.strings.join([f"{problem} at position ", told, " of the batch"])
    return tf.debugging.Assert(tf.size(positions) == 0, [message], summarize=-1)
