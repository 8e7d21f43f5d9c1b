"""The saved model: trained network and Transform graph behind its signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.common import schema
from components.common.bands import bands_of, channels_of
from components.common.model_card import write_card
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings
from components.common.reliability import temperature_of
from components.trainer.as_served import over_mirror_image
from components.trainer.config import ServingConfig
from components.trainer.counting import (
    AT_MODEL,
    AT_PICTURE,
    Counts,
    counts_shapes,
    in_chunks,
)
from components.trainer.request_check import check_bands, check_request
from components.trainer.tiled_pictures import TiledPictures
from components.trainer.whole_pictures import Network, WholePictures
from components.trainer.wide_pictures import eight_bits

_EVALUATION_CHUNK = 16  # pictures that are prepared and go through the network together


def export_model(
    model: keras.Model,
    transform: tft.TFTransformOutput,
    classes: schema.ClassTable,
    folder: str,
    card: dict[str, Any],
    limits: ServingConfig,
    fit: PictureFit,
) -> None:
    """Writes a SavedModel that needs only TensorFlow to load.

    Signatures (B: batch, H and W: the model's picture size, C: classes):
      serving_default: image_bytes string [B] (JPEG, PNG, GIF; of other bands .npy or PNG)
        -> mask uint8 [B, H, W] (padding is
        IGNORE_INDEX), mask_png_bytes string [B] (PNG of class indices at the picture's
        own size), confidence float32 [B] (mean probability of the winning class, at the
        card's temperature). With `limits.telemetry` also class_shares float32 [B, C], brightness,
        contrast and sharpness float32 [B] (`components.common.telemetry`), size int64 [B, 2]
        (height, width as sent).
      serving_flipped: the same, from the mean of the probabilities of the picture and of
        its mirror image; twice the work.
      evaluate: examples string [B] -> confusion_matrix int64 [B, C, C] (rows:
        truth, columns: prediction, ignored pixels left out), reliability int64 [B, 15, 3]
        (`reliability.count_bins`), example_id string [B].
      evaluate_at_picture: the same, counted at the size that each mask has itself, on
        what mask_png_bytes would be there; and packed_mask and packed_truth, string [B],
        whose objects the Evaluator counts.
      transform_features: examples string [B] -> the Transform step's features.
    With `fit: tiles`, H and W are those of the batch's largest picture, and both counts are the
    same one.

    Args:
      model: from prepared pictures to logits.
      transform: output of the Transform step.
      classes: the class table.
      folder: where the SavedModel goes.
      card: what the model's card says besides its classes.
      limits: of a request, and whether answers have telemetry.
      fit: how the Transform step fits pictures in.
    """
    bands = bands_of(card)
    shown: TiledPictures | WholePictures
    chunk = _EVALUATION_CHUNK
    if fit.fit == "tiles":
        chunk = 1  # large ones: prepared, each of them takes several times its own bytes
        shown = TiledPictures(
            fit, classes, channels_of(bands), temperature_of(card), limits.telemetry
        )
    else:
        shown = WholePictures(fit, classes, temperature_of(card), limits.telemetry)
    layer = transform.transform_features_layer()
    raw_spec = transform.raw_feature_spec()
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
        return over_mirror_image(probabilities_of, images)

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(image_bytes, probabilities_of)

    def serve_flipped(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(image_bytes, flipped_too)

    def answer(image_bytes: tf.Tensor, segment: Network) -> dict[str, tf.Tensor]:
        most = limits.max_megabytes, limits.max_megapixels
        if bands:
            accepted = check_bands(image_bytes, schema.IMAGE_BYTES, bands, *most)
        else:
            checked = check_request(image_bytes, schema.IMAGE_BYTES, *most)
            accepted = eight_bits(checked, schema.IMAGE_BYTES, settings)
        return shown.answer(layer({schema.IMAGE: accepted[:, tf.newaxis]}), segment)

    def evaluate(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return counted(examples, count, AT_MODEL)

    def evaluate_at_picture(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return counted(examples, count_at_picture, AT_PICTURE)

    def counted(
        examples: tf.Tensor, count: Callable[[tf.Tensor], Counts], dtypes: Mapping[str, tf.DType]
    ) -> dict[str, tf.Tensor]:
        # Beam's batches grow to whatever takes it a second; the activations must not.
        found = in_chunks(count, examples, chunk, dtypes)
        shaped = {
            name: tf.ensure_shape(found[name], [None, *shape])
            for name, shape in counts_shapes(len(classes)).items()
        }
        return {
            **found,
            **shaped,
            schema.EXAMPLE_ID: parse(examples, schema.EXAMPLE_ID)[schema.EXAMPLE_ID][:, 0],
        }

    def count(examples: tf.Tensor) -> Counts:
        return shown.count(layer, parse(examples, schema.IMAGE, schema.MASK), logits_of)

    def count_at_picture(examples: tf.Tensor) -> Counts:
        raw = parse(examples, schema.IMAGE, schema.MASK)
        return shown.count_at_picture(layer, raw, logits_of)

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return shown.prepared(layer(parse(examples, schema.IMAGE, schema.MASK)))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)
    for name, function, argument in (
        (schema.SERVING_SIGNATURE, serve, schema.IMAGE_BYTES),
        (schema.FLIPPED_SIGNATURE, serve_flipped, schema.IMAGE_BYTES),
        (schema.EVALUATE_SIGNATURE, evaluate, schema.EXAMPLES),
        (schema.EVALUATE_AT_PICTURE_SIGNATURE, evaluate_at_picture, schema.EXAMPLES),
        (schema.TRANSFORM_SIGNATURE, transform_features, schema.EXAMPLES),
    ):
        spec = tf.TensorSpec([None], tf.string, name=argument)
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(folder, verbose=False)

    accepted = limits.model_dump(include={"max_megabytes", "max_megapixels"})
    write_card(folder, classes, {**card, **accepted})
