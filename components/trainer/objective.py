"""What training minimises, and what it watches."""

from __future__ import annotations

import keras
import tensorflow as tf


def make_loss(jaccard_weight: float, ignore_index: int | None) -> keras.losses.Loss:
    """The loss of a training.

    Args:
      jaccard_weight: of the soft Jaccard loss; 0: the tutorial's cross-entropy alone.
      ignore_index: mask value of pixels that don't count; None: all count.

    Returns:
      A loss of masks [batch, height, width] of class indices and logits [batch, height,
      width, classes].
    """
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignore_index
    )
    if not jaccard_weight:
        return cross_entropy
    return CrossEntropyAndJaccard(cross_entropy, jaccard_weight, ignore_index)


class CrossEntropyAndJaccard(keras.losses.Loss):
    """Cross-entropy, and what is asked of the model in the end: the classes' IoU.

    The Jaccard loss is 1 - IoU with probabilities in place of decisions (Rahman and Wang,
    ISVC 2016), over all pixels of the batch, the mean over the classes that are in it.
    Sample weights count in the cross-entropy only: here each class weighs the same anyway.

    Args:
      cross_entropy: of logits.
      jaccard_weight: of the second part; the first has 1.
      ignore_index: mask value of pixels that don't count; None: all count.
    """

    def __init__(
        self, cross_entropy: keras.losses.Loss, jaccard_weight: float, ignore_index: int | None
    ) -> None:
        super().__init__(name="cross_entropy_and_jaccard")
        self._cross_entropy = cross_entropy
        self._jaccard_weight = jaccard_weight
        self._ignore_index = ignore_index

    def __call__(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The loss of a batch: float32 scalar."""
        # In place of `call`, which would have to give a value for each pixel.
        entropy = self._cross_entropy(y_true, y_pred, sample_weight)
        return entropy + self._jaccard_weight * self._jaccard(y_true, y_pred)

    def _jaccard(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(y_pred, tf.float32)
        probabilities = tf.nn.softmax(logits)
        # An ignored pixel has no class here: IGNORE_INDEX is beyond the last one.
        truth = tf.one_hot(tf.cast(y_true, tf.int32), logits.shape[-1])
        if self._ignore_index is not None:
            probabilities *= tf.cast(y_true != self._ignore_index, tf.float32)[..., tf.newaxis]
        pixels = [0, 1, 2]
        common = tf.reduce_sum(truth * probabilities, pixels)
        true = tf.reduce_sum(truth, pixels)
        union = true + tf.reduce_sum(probabilities, pixels) - common
        present = true > 0
        losses = tf.where(present, 1 - common / tf.maximum(union, 1.0), 0.0)
        return tf.math.divide_no_nan(
            tf.reduce_sum(losses), tf.reduce_sum(tf.cast(present, tf.float32))
        )


@keras.saving.register_keras_serializable("segline")
class PixelAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The tutorial's `accuracy`, over the pixels that count.

    Args:
      ignore_index: mask value of pixels that don't; None: all count.
    """

    def __init__(self, ignore_index: int | None = None, name: str = "accuracy") -> None:
        super().__init__(name=name)
        self._ignore_index = ignore_index

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Variable:
        """Adds a batch: y_true [B, H, W] of indices, y_pred [B, H, W, C] of logits."""
        if self._ignore_index is not None:
            sample_weight = keras.ops.cast(
                keras.ops.not_equal(y_true, self._ignore_index), "float32"
            )
        return super().update_state(y_true, y_pred, sample_weight)
