"""The saved model: trained network and Transform graph behind its signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.common import schema
from components.common.model_card import write_card
from components.common.picture_settings import PictureSettings
from components.trainer.config import ServingConfig
from components.trainer.request_check import check_request
from components.trainer.wide_pictures import eight_bits

_EVALUATION_CHUNK = 16  # pictures that go through the network together


def export_model(
    model: keras.Model,
    transform: tft.TFTransformOutput,
    classes: schema.ClassTable,
    folder: str,
    card: dict[str, Any],
    limits: ServingConfig,
) -> None:
    """Writes a SavedModel that needs only TensorFlow to load.

    Signatures (B: batch, H and W: the model's picture size, C: classes):
      serving_default: image_bytes string [B] -> mask uint8 [B, H, W],
        mask_png_bytes string [B] (PNG of class indices at the picture's own
        size), confidence float32 [B] (mean probability of the winning class).
      serving_flipped: the same, from the mean of the probabilities of the picture and of
        its mirror image; twice the work.
      evaluate: examples string [B] -> confusion_matrix int64 [B, C, C] (rows:
        truth, columns: prediction, ignored pixels left out), example_id string [B].
      transform_features: examples string [B] -> the Transform step's features.

    Args:
      model: from prepared pictures to logits.
      transform: output of the Transform step.
      classes: the class table.
      folder: where the SavedModel goes.
      card: what the model's card says besides its classes.
      limits: of a request.
    """
    layer = transform.transform_features_layer()
    raw_spec = transform.raw_feature_spec()
    num_classes = len(classes)
    settings = PictureSettings.model_validate(card.get("pictures") or {})

    def parse(examples: tf.Tensor, *names: str) -> dict[str, tf.Tensor]:
        return tf.io.parse_example(examples, {name: raw_spec[name] for name in names})

    # One function for all signatures: the network is traced, and is in the file, once.
    logits_of = tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)],
    )

    def probabilities_of(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(logits_of(images))

    def flipped_too(images: tf.Tensor) -> tf.Tensor:
        mirrored = tf.reverse(probabilities_of(tf.reverse(images, [2])), [2])
        return (probabilities_of(images) + mirrored) / 2

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(image_bytes, probabilities_of)

    def serve_flipped(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(image_bytes, flipped_too)

    def answer(
        image_bytes: tf.Tensor, segment: Callable[[tf.Tensor], tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        checked = check_request(
            image_bytes, schema.IMAGE_BYTES, limits.max_megabytes, limits.max_megapixels
        )
        narrow = eight_bits(checked, schema.IMAGE_BYTES, settings)
        features = layer({schema.IMAGE: narrow[:, tf.newaxis]})
        probabilities = segment(features[schema.IMAGE])
        return {
            schema.MASK: tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8),
            schema.MASK_PNG_BYTES: masks_at_size(probabilities, features[schema.ORIGINAL_SIZE]),
            schema.CONFIDENCE: tf.reduce_mean(tf.reduce_max(probabilities, -1), [1, 2]),
        }

    def evaluate(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        # Beam's batches grow to whatever takes it a second; the activations must not.
        matrices = in_chunks(count, examples, _EVALUATION_CHUNK)
        return {
            schema.CONFUSION_MATRIX: tf.ensure_shape(matrices, [None, num_classes, num_classes]),
            schema.EXAMPLE_ID: parse(examples, schema.EXAMPLE_ID)[schema.EXAMPLE_ID][:, 0],
        }

    def count(examples: tf.Tensor) -> tf.Tensor:
        parsed = parse(examples, schema.IMAGE, schema.MASK)
        features = layer({name: parsed[name] for name in (schema.IMAGE, schema.MASK)})
        predicted = tf.argmax(logits_of(features[schema.IMAGE]), axis=-1)
        return confusion_matrices(features[schema.MASK], predicted, num_classes)

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return layer(parse(examples, schema.IMAGE, schema.MASK))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)
    for name, function, argument in (
        (schema.SERVING_SIGNATURE, serve, schema.IMAGE_BYTES),
        (schema.FLIPPED_SIGNATURE, serve_flipped, schema.IMAGE_BYTES),
        (schema.EVALUATE_SIGNATURE, evaluate, schema.EXAMPLES),
        (schema.TRANSFORM_SIGNATURE, transform_features, schema.EXAMPLES),
    ):
        spec = tf.TensorSpec([None], tf.string, name=argument)
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(folder, verbose=False)

    write_card(folder, classes, card)


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


def masks_at_size(probabilities: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Masks at the pictures' own sizes, as PNG files.

    The probabilities are resized, not the mask: edges stay smooth.

    Args:
      probabilities: float32 [batch, height, width, classes].
      sizes: int64 [batch, 2], height and width of each picture.

    Returns:
      string [batch]; grey PNGs whose values are class indices.
    """

    def encode(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        resized = tf.image.resize(one[0], tf.cast(one[1], tf.int32))
        mask = tf.cast(tf.argmax(resized, axis=-1), tf.uint8)
        return tf.io.encode_png(mask[..., tf.newaxis])

    return tf.map_fn(
        encode, (probabilities, sizes), fn_output_signature=tf.TensorSpec([], tf.string)
    )
