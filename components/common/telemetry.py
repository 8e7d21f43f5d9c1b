"""How a picture looks to the network, in three numbers: computed in the served model's graph.

Of the picture as the network sees it, so that a camera of more pixels changes them only where it
changes what the network is given.
"""

from __future__ import annotations

import tensorflow as tf

from components.common import schema
from components.common.picture_fit import cut_out

LOOKS = (schema.BRIGHTNESS, schema.CONTRAST, schema.SHARPNESS)


def look_at(picture: tf.Tensor) -> tf.Tensor:
    """Brightness, contrast and sharpness of a prepared picture.

    Args:
      picture: float [height, width, channels], 0 to 1 (of other bands: as the Transform step
        scales them).

    Returns:
      float32 [3]: the mean; the RMS contrast, which is the grey values' standard deviation (Peli,
      J. Opt. Soc. Am. A 1990); the root of the variance of the Laplacian (Pech-Pacheco et al.,
      ICPR 2000), 0 where a side has less than three pixels.
    """
    grey = tf.reduce_mean(tf.cast(picture, tf.float32), -1)
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return tf.stack([tf.reduce_mean(grey), tf.math.reduce_std(grey), _deviation(laplacian)])


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
      mask: integers [height, width], class indices.
      num_classes: C.

    Returns:
      float32 [C], sum 1.
    """
    pixels = tf.raw_ops.DenseBincount(
        input=tf.reshape(tf.cast(mask, tf.int32), [-1]),
        size=num_classes,
        weights=tf.constant([], tf.float32),
    )
    return pixels / tf.cast(tf.size(mask), tf.float32)


def _deviation(values: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.size(values) > 0, lambda: tf.math.reduce_std(values), lambda: tf.constant(0.0)
    )
