"""How far a model's confidence can be trusted: counts by confidence, their error, a temperature.

The confidence of a pixel is the probability of its winning class. After Guo et al., "On
Calibration of Modern Neural Networks", ICML 2017: bins of equal width, the expected calibration
error (ECE), and temperature scaling.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

BINS = 15  # as in the paper
# What is counted of a bin: pixels, those of them that are right, the sum of their confidence.
PIXELS, CORRECT, CONFIDENCE = range(3)
# Sums of whole numbers are exact, in whatever order workers add them up.
_BITS = 24
UNIT = 1 << _BITS  # the confidence 1


def count_bins(confidence: tf.Tensor, correct: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Counts, for each picture, how sure the model is and how often it is right.

    Bin i holds confidences above i / BINS up to and with (i + 1) / BINS.

    Args:
      confidence: float32 [batch, height, width], 0 to 1.
      correct: bool, the same shape: whether the winning class is the true one.
      counted: bool, the same shape: which pixels count.

    Returns:
      int64 [batch, BINS, 3]: PIXELS, CORRECT, and CONFIDENCE in units of 1 / UNIT.
    """
    # A network that has diverged is the Evaluator's to refuse.
    confidence = tf.where(tf.math.is_nan(confidence), 0.0, confidence)
    units = tf.cast(tf.round(tf.clip_by_value(confidence, 0.0, 1.0) * UNIT), tf.int32)
    bins = tf.bitwise.right_shift(tf.maximum(units * BINS - 1, 0), _BITS)
    batch = tf.shape(confidence)[0]
    cells = tf.range(batch)[:, tf.newaxis, tf.newaxis] * BINS + bins
    # What does not count has a cell behind all others, which is left out: a picture may have a
    # hundred megapixels, and a copy of what counts would be as large again.
    cells = tf.where(counted, cells, batch * BINS)
    sums = [_sum(weights, cells, batch * BINS) for weights in (None, correct, units)]
    return tf.reshape(tf.stack(sums, axis=-1), [-1, BINS, 3])


def _sum(weights: tf.Tensor | None, cells: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Of the weights, or of ones, in each of the cells below `size`: int64 [size]."""
    return tf.math.bincount(
        cells,
        weights=None if weights is None else tf.cast(weights, tf.int64),
        minlength=size,
        maxlength=size,
        dtype=tf.int64,
    )


def calibration_error(bins: np.ndarray) -> float:
    """The expected calibration error.

    The mean over all pixels of the distance, in their bin, between the share that is right and
    the mean confidence.

    Args:
      bins: int64 [BINS, 3], sums of `count_bins`.

    Returns:
      0 to 1; NaN where no pixel counts.
    """
    total = int(bins[:, PIXELS].sum())
    if not total:
        return math.nan
    return float(np.abs(bins[:, CORRECT] - bins[:, CONFIDENCE] / UNIT).sum() / total)


def tempered(probabilities: tf.Tensor, temperature: float | None) -> tf.Tensor:
    """What probabilities become when the logits behind them are divided by a temperature.

    The order of the classes stays as it is.

    Args:
      probabilities: float32 [..., C], with the sum 1; blended ones have no logits of their own.
      temperature: above 0; None: nothing changes.

    Returns:
      The same shape: p ** (1 / temperature), with the sum 1 again.
    """
    if temperature is None:
        return probabilities
    powers = probabilities ** (1 / temperature)
    return powers / tf.reduce_sum(powers, axis=-1, keepdims=True)


def confidence_of(probabilities: tf.Tensor, temperature: float | None) -> tf.Tensor:
    """The calibrated probability of the winning class: float32 [...] of [..., C]."""
    return tf.reduce_max(tempered(probabilities, temperature), axis=-1)


def temperature_of(card: dict[str, Any]) -> float | None:
    """As a model's card has it; None: the model is not calibrated."""
    calibration = card.get("calibration")
    return float(calibration["temperature"]) if calibration else None
