"""How a picture looks to the network, in three numbers: computed in the served model's graph.

Of the picture as the network sees it, so that a camera of more pixels changes them only where it
changes what the network is given.
"""

from __future__ import annotations

import tensorflow as tf

from components.common import schema
from components.common.picture_fit import cut_out

_SIDES = (-2, -1)
LOOKS = (schema.BRIGHTNESS, schema.CONTRAST, schema.SHARPNESS)


def look_at(pictures: tf.Tensor) -> tf.Tensor:
    """Brightness, contrast and sharpness of prepared pictures.

    Args:
      pictures: float [..., height, width, channels], 0 to 1 (of other bands: as the Transform step
        scales them).

    Returns:
      float32 [..., 3]: the mean; the RMS contrast, which is the grey values' standard deviation
      (Peli, J. Opt. Soc. Am. A 1990); the root of the variance of the Laplacian (Pech-Pacheco et
      al., ICPR 2000), 0 where a side has less than three pixels.
    """
    grey = tf.reduce_mean(tf.cast(pictures, tf.float32), -1)
    across = grey[..., 1:-1, :-2] + grey[..., 1:-1, 2:]
    down = grey[..., :-2, 1:-1] + grey[..., 2:, 1:-1]
    laplacian = across + down - 4 * grey[..., 1:-1, 1:-1]
    return tf.stack([tf.reduce_mean(grey, _SIDES), _deviation(grey), _deviation(laplacian)], -1)


def look_at_each(pictures: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """The same of a batch, without what pads the pictures.

    Args:
      pictures: float [batch, height, width, channels].
      boxes: int64 [batch, 4], where in them the pictures lie: top, left, height, width.

    Returns:
      float32 [batch, 3].
    """
    return tf.map_fn(
        lambda one: look_at(cut_out(*one)),
        (pictures, boxes),
        fn_output_signature=tf.TensorSpec([3], tf.float32),
    )


def named(looks: tf.Tensor) -> dict[str, tf.Tensor]:
    """float32 [batch, 3] as BRIGHTNESS, CONTRAST and SHARPNESS, each float32 [batch]."""
    return dict(zip(LOOKS, tf.unstack(looks, axis=-1), strict=True))


def class_shares(mask: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Each class's share of a mask's pixels.

    Args:
      mask: uint8, int32 or int64 [height, width], class indices.
      num_classes: C.

    Returns:
      float32 [C], sum 1.
    """
    indices = tf.cast(mask, tf.int32) if mask.dtype == tf.uint8 else mask
    pixels = tf.raw_ops.DenseBincount(
        input=tf.reshape(indices, [-1]),
        size=num_classes,
        weights=tf.constant([], tf.int64),  # float32 would stop at 2^24
    )
    return tf.cast(pixels / tf.size(mask, tf.int64), tf.float32)  # (divides in float64)


def _deviation(values: tf.Tensor) -> tf.Tensor:
    """Standard deviation of each picture's values; 0 where there are none."""
    count = tf.cast(tf.reduce_prod(tf.shape(values)[-2:]), tf.float32)
    mean = tf.math.divide_no_nan(tf.reduce_sum(values, _SIDES, keepdims=True), count)
    squares = tf.reduce_sum(tf.square(values - mean), _SIDES)
    return tf.sqrt(tf.math.divide_no_nan(squares, count))
