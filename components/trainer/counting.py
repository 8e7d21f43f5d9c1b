"""What the saved model counts for the Evaluator, in its graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from components.common import pictures, schema
from components.common.reliability import BINS, confidence_of, count_bins
from components.trainer.own_size import probabilities_at

Counts = dict[str, tf.Tensor]


def in_chunks(
    function: Callable[[tf.Tensor], Counts],
    batch: tf.Tensor,
    size: int,
    dtypes: Mapping[str, tf.DType],
) -> Counts:
    """Applies a function to a batch piece by piece, so that memory is bounded.

    Args:
      function: from [n, …] to tensors [n, …] by name.
      batch: [B, …], any B.
      size: largest n.
      dtypes: of what the function gives.

    Returns:
      What the function gives for the whole batch.
    """
    total = tf.shape(batch)[0]
    begun = {
        name: tf.TensorArray(dtype, size=0, dynamic_size=True, infer_shape=False)
        for name, dtype in dtypes.items()
    }

    def step(start: tf.Tensor, results: dict) -> tuple[tf.Tensor, dict]:
        part = function(batch[start : start + size])
        return start + size, {
            name: result.write(result.size(), part[name]) for name, result in results.items()
        }

    _, results = tf.while_loop(
        lambda start, _: start < tf.maximum(total, 1),  # an empty batch has a shape too
        step,
        (0, begun),
        parallel_iterations=1,
    )
    return {name: result.concat() for name, result in results.items()}


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


# What is counted at the model's size, and what `count_at_picture` gives.
AT_MODEL = {schema.CONFUSION_MATRIX: tf.int64, schema.RELIABILITY: tf.int64}
AT_PICTURE = {
    **AT_MODEL,
    schema.PACKED_TRUTH: tf.string,
    schema.PACKED_MASK: tf.string,
}


def count_pixels(
    truth: tf.Tensor, predicted: tf.Tensor, confidence: tf.Tensor, num_classes: int
) -> Counts:
    """What is told of each picture, whatever its size: AT_MODEL.

    Args:
      truth: int64 [batch, height, width]; values that are no class are left out.
      predicted: int64, the same shape, of class indices.
      confidence: float32, the same shape: probability of the predicted class.
      num_classes: number of classes C.

    Returns:
      Confusion matrices, int64 [batch, C, C]; `count_bins`'s counts, int64 [batch, BINS, 3].
    """
    return {
        schema.CONFUSION_MATRIX: confusion_matrices(truth, predicted, num_classes),
        schema.RELIABILITY: count_bins(confidence, predicted == truth, truth < num_classes),
    }


def count_picture(
    truth: tf.Tensor, predicted: tf.Tensor, confidence: tf.Tensor, num_classes: int
) -> Counts:
    """What is told of one picture at its own size: AT_PICTURE.

    Args:
      truth: int64 [height, width] of class indices.
      predicted: the same.
      confidence: float32 [height, width].
      num_classes: number of classes C.

    Returns:
      Its confusion matrix, int64 [C, C]; int64 [BINS, 3]; both masks as they are packed,
      string scalars: to encode them as PNGs takes longer than to make them.
    """
    counts = count_pixels(truth[None], predicted[None], confidence[None], num_classes)
    return {
        **{name: of_all[0] for name, of_all in counts.items()},
        schema.PACKED_TRUTH: pictures.pack_indices(truth),
        schema.PACKED_MASK: pictures.pack_indices(predicted),
    }


def picture_signature(num_classes: int) -> dict[str, tf.TensorSpec]:
    """Of what `count_picture` gives."""
    shapes = counts_shapes(num_classes)
    return {name: tf.TensorSpec(shapes.get(name, []), dtype) for name, dtype in AT_PICTURE.items()}


def counts_shapes(num_classes: int) -> dict[str, list[int]]:
    """Of one picture's counts."""
    return {schema.CONFUSION_MATRIX: [num_classes] * 2, schema.RELIABILITY: [BINS, 3]}


def count_at_picture(
    encoded: tf.Tensor,
    probabilities: tf.Tensor,
    boxes: tf.Tensor,
    classes: schema.ClassTable,
    temperature: float | None,
) -> Counts:
    """Counts at the size that each mask has itself.

    One picture after another: their sizes differ, and so the memory is that of the largest.

    Args:
      encoded: string [batch], masks of raw values.
      probabilities: float32 [batch, height, width, classes], of the model.
      boxes: int64 [batch, 4], where in them the pictures lie.
      classes: the class table.
      temperature: of the confidence; None: as it is.

    Returns:
      AT_PICTURE, of each picture.
    """
    lookup = classes.lookup_table(unknown=pictures.NO_INDEX)

    def count(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> Counts:
        truth = pictures.class_indices(pictures.decode_mask(one[0]), lookup)
        resized = probabilities_at(one[1], one[2], tf.shape(truth, out_type=tf.int64))
        predicted = tf.argmax(resized, axis=-1)
        return count_picture(truth, predicted, confidence_of(resized, temperature), len(classes))

    return tf.map_fn(
        count,
        (encoded, probabilities, boxes),
        fn_output_signature=picture_signature(len(classes)),
        parallel_iterations=1,
    )
