"""What TensorFlow Transform's analyzers learn of bands, and the scale that it gives.

Of each band by itself: near infrared and elevation have nothing in common. The training split
alone is looked at, once, by Beam; what it says becomes constants of the one graph that training,
evaluation and serving share.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_transform as tft

from components.common import band_tensors
from components.common.bands import BandsConfig

_GRID = 64  # pixels of a picture's sides that quantiles are taken from
_BUCKETS = 100  # whose outermost bounds are the 1st and the 99th percentile
_EPSILON = 1e-3  # of a rank, by which a quantile may be off
_DEVIATIONS = 3.0


def learned_scale(encoded: tf.Tensor, bands: BandsConfig) -> Callable[[tf.Tensor], tf.Tensor]:
    """Looks at the training split's pictures.

    Args:
      encoded: string [batch], of preprocessing_fn's inputs.
      bands: what is in them, and how it is scaled.

    Returns:
      From values [..., channels] as they are stored to float32 in [0, 1] of the same shape.
    """
    if bands.scale == "quantiles":
        low, high = _percentiles(encoded, bands)
    else:
        low, high = _around_the_mean(encoded, bands)

    def scale(pixels: tf.Tensor) -> tf.Tensor:
        # A band that is the same everywhere says nothing: 0.
        width = tf.where(high > low, high - low, float("inf"))
        return tf.clip_by_value((tf.cast(pixels, tf.float32) - low) / width, 0.0, 1.0)

    return scale


def _percentiles(encoded: tf.Tensor, bands: BandsConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """1st and 99th, of a grid over each picture: float32 [channels] each."""

    def grid(one: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(band_tensors.decode(one, bands), tf.float32)
        return tf.image.resize(pixels, [_GRID, _GRID], method="nearest")

    shape = [_GRID, _GRID, bands.channels]
    values = _each(grid, encoded, tf.TensorSpec(shape, tf.float32))
    values = tf.reshape(values, [-1, bands.channels])
    bounds = tft.quantiles(values, _BUCKETS, _EPSILON, reduce_instance_dims=False)
    low, high = bounds[:, 0], bounds[:, -1]
    # What is the same on nearly all pixels, a flag or a rare thing, is told by its extremes.
    smallest = tft.min(values, reduce_instance_dims=False)
    largest = tft.max(values, reduce_instance_dims=False)
    flat = high <= low
    return tf.where(flat, smallest, low), tf.where(flat, largest, high)


def _around_the_mean(encoded: tf.Tensor, bands: BandsConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Three standard deviations below and above the mean of all pixels: float32 [channels]."""

    def moments(one: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(band_tensors.decode(one, bands), tf.float64)
        values = tf.reshape(pixels, [-1, bands.channels])
        count = tf.fill([bands.channels], tf.cast(tf.shape(values)[0], tf.float64))
        return tf.stack([count, tf.reduce_sum(values, 0), tf.reduce_sum(values**2, 0)])

    # A picture's sums, and not its pixels, go to the analyzer: they may be a hundred million.
    sums = _each(moments, encoded, tf.TensorSpec([3, bands.channels], tf.float64))
    count, total, squares = tf.unstack(tft.sum(sums, reduce_instance_dims=False))
    mean = total / count
    deviation = tf.sqrt(tf.maximum(squares / count - mean**2, 0))
    low, high = mean - _DEVIATIONS * deviation, mean + _DEVIATIONS * deviation
    return tf.cast(low, tf.float32), tf.cast(high, tf.float32)


def _each(
    function: Callable[[tf.Tensor], tf.Tensor], encoded: tf.Tensor, spec: tf.TensorSpec
) -> tf.Tensor:
    # One after the other: memory is that of a picture.
    return tf.map_fn(function, encoded, fn_output_signature=spec, parallel_iterations=1)
