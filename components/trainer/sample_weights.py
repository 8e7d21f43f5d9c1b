"""Per-pixel sample weights from class weights.

After the tutorial's `add_sample_weights`: Keras refuses `class_weight` for masks,
but takes (image, mask, weight) triples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.common import schema

Triple = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def resolve_class_weights(
    config: Literal["none", "balanced"] | Sequence[float],
    masks: tf.data.Dataset,
    num_classes: int,
) -> np.ndarray | None:
    """Turns the config's `class_weights` into numbers.

    Args:
      config: `none`, `balanced`, or a weight for each class.
      masks: (image, mask) elements of the training split, read for `balanced` only.
      num_classes: number of classes.

    Returns:
      float32 [num_classes] with sum 1, or None for no weights.
    """
    if config == "none":
        return None
    if config == "balanced":
        return balanced_weights(count_pixels(masks, num_classes))
    return normalise(config)


def normalise(weights: npt.ArrayLike) -> np.ndarray:
    """Scales weights to sum 1, as the tutorial does; float32."""
    array = np.asarray(weights, np.float64)
    return (array / array.sum()).astype(np.float32)


def balanced_weights(pixel_counts: npt.ArrayLike) -> np.ndarray:
    """Weights inverse to the classes' pixel counts, so that each class weighs the same.

    A class without pixels gets weight 0.
    """
    counts = np.asarray(pixel_counts, np.float64)
    return normalise(np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0))


def count_pixels(dataset: tf.data.Dataset, num_classes: int) -> np.ndarray:
    """Counts the pixels of each class.

    Args:
      dataset: (image, mask) elements; masks hold class indices, other values
        (ignored pixels) are not counted.
      num_classes: number of classes.

    Returns:
      int64 [num_classes].
    """

    def add(total: tf.Tensor, element: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        values = tf.reshape(tf.cast(element[1], tf.int32), [-1])
        return total + tf.math.bincount(values, minlength=256, maxlength=256, dtype=tf.int64)

    zeros = tf.zeros([256], tf.int64)
    return dataset.reduce(zeros, add).numpy()[:num_classes]


def add_sample_weights(class_weights: np.ndarray) -> Callable[[tf.Tensor, tf.Tensor], Triple]:
    """Makes a function for `Dataset.map` that adds each pixel's weight.

    Args:
      class_weights: a weight for each class index.

    Returns:
      A function from (image, mask) to (image, mask, weight); weight is float32 of
      the mask's shape, 0 where the mask is IGNORE_INDEX.
    """
    table = np.zeros(256, np.float32)
    table[: len(class_weights)] = class_weights
    assert table[schema.IGNORE_INDEX] == 0

    def add(image: tf.Tensor, mask: tf.Tensor) -> Triple:
        return image, mask, tf.gather(tf.constant(table), tf.cast(mask, tf.int32))

    return add
