"""What the saved model counts for the Evaluator, in its graph."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from components.common import pictures, schema
from components.trainer.own_size import classes_at


def in_chunks(function: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor, size: int) -> tf.Tensor:
    """Applies a function to a batch piece by piece, so that memory is bounded.

    Args:
      function: from [n, …] to int64 [n, …].
      batch: [B, …], any B.
      size: largest n.

    Returns:
      What the function gives for the whole batch.
    """
    total = tf.shape(batch)[0]
    results = tf.TensorArray(tf.int64, size=0, dynamic_size=True, infer_shape=False)

    def step(start: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = function(batch[start : start + size])
        return start + size, results.write(results.size(), part)

    _, results = tf.while_loop(
        lambda start, _: start < tf.maximum(total, 1),  # an empty batch has a shape too
        step,
        (0, results),
        parallel_iterations=1,
    )
    return results.concat()


def confusion_matrices(truth: tf.Tensor, predicted: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Counts, for each picture, how often which class was taken for which.

    Args:
      truth: int64 [batch, height, width]; values that are no class are left out.
      predicted: int64 [batch, height, width] of class indices.
      num_classes: number of classes C.

    Returns:
      int64 [batch, C, C]; rows are the truth, columns the prediction.
    """
    batch = tf.shape(truth, out_type=tf.int64)[0]
    cells = num_classes * num_classes
    picture = tf.range(batch)[:, tf.newaxis, tf.newaxis] * cells
    index = tf.boolean_mask(picture + truth * num_classes + predicted, truth < num_classes)
    size = tf.cast(batch * cells, tf.int32)
    counts = tf.math.bincount(
        tf.cast(index, tf.int32), minlength=size, maxlength=size, dtype=tf.int64
    )
    return tf.reshape(counts, [-1, num_classes, num_classes])


def matrices_at_picture(
    encoded: tf.Tensor,
    probabilities: tf.Tensor,
    boxes: tf.Tensor,
    classes: schema.ClassTable,
) -> tf.Tensor:
    """Counts likewise, at the size that each mask has itself.

    One picture after another: their sizes differ, and so the memory is that of the largest.

    Args:
      encoded: string [batch], masks of raw values.
      probabilities: float32 [batch, height, width, classes], of the model.
      boxes: int64 [batch, 4], where in them the pictures lie.
      classes: the class table.

    Returns:
      int64 [batch, C, C]; rows are the truth, columns the prediction.
    """
    lookup = classes.lookup_table(unknown=pictures.NO_INDEX)

    def count(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        truth = pictures.class_indices(pictures.decode_mask(one[0]), lookup)
        predicted = classes_at(one[1], one[2], tf.shape(truth, out_type=tf.int64))
        return confusion_matrices(truth[tf.newaxis], predicted[tf.newaxis], len(classes))[0]

    return tf.map_fn(
        count,
        (encoded, probabilities, boxes),
        fn_output_signature=tf.TensorSpec([len(classes)] * 2, tf.int64),
        parallel_iterations=1,
    )
