"""What the saved model says of pictures that it sees through windows."""

from __future__ import annotations

import tensorflow as tf

from components.common import schema, telemetry
from components.common.picture_fit import MIDDLE_GREY, PictureFit, enlarged
from components.common.pictures import unpack_image, unpack_indices
from components.trainer.counting import Counts, count_picture, picture_signature
from components.trainer.sliding_window import SlidingWindow
from components.trainer.whole_pictures import Features, Layer, Network

_LOOKS = "looks"  # until they have their names


class TiledPictures:
    """From the Transform step's features to answers and counts, at the pictures' own sizes.

    One picture after another, so that memory is that of the largest.

    Args:
      fit: size of the windows, their overlap and scale.
      classes: the class table.
      channels: of a picture.
      temperature: of the confidence, which no class depends on; None: as it is.
      watched: whether answers have telemetry.
    """

    def __init__(
        self,
        fit: PictureFit,
        classes: schema.ClassTable,
        channels: int = 3,
        temperature: float | None = None,
        watched: bool = False,
    ) -> None:
        self._classes = classes
        self._channels = channels
        self._watched = watched
        self._slide = SlidingWindow(
            fit.image_size, fit.tiles, len(classes), MIDDLE_GREY, temperature
        )

    def answer(self, features: Features, probabilities_of: Network) -> dict[str, tf.Tensor]:
        """MASK_PNG_BYTES string [B], CONFIDENCE float32 [B], and MASK uint8 [B, H, W].

        H and W are those of the largest picture; what is beyond a smaller one is IGNORE_INDEX.
        Telemetry as that of `WholePictures.answer`.
        """
        largest = _largest(features)
        signature = {
            schema.MASK: tf.TensorSpec([None, None], tf.uint8),
            schema.MASK_PNG_BYTES: tf.TensorSpec([], tf.string),
            schema.CONFIDENCE: tf.TensorSpec([], tf.float32),
        }
        if self._watched:
            signature[schema.CLASS_SHARES] = tf.TensorSpec([len(self._classes)], tf.float32)
            signature[_LOOKS] = tf.TensorSpec([3], tf.float32)

        def segment(packed: tf.Tensor) -> dict[str, tf.Tensor]:
            picture = self._unpacked(packed)
            mask, confidence = self._slide.segment(picture, probabilities_of)
            answer = {
                schema.MASK: enlarged(mask, largest, schema.IGNORE_INDEX),
                schema.MASK_PNG_BYTES: tf.io.encode_png(mask[..., tf.newaxis]),
                schema.CONFIDENCE: confidence,
            }
            if self._watched:
                answer[schema.CLASS_SHARES] = telemetry.class_shares(mask, len(self._classes))
                answer[_LOOKS] = telemetry.look_at(picture)
            return answer

        answer = tf.map_fn(
            segment,
            features[schema.IMAGE],
            fn_output_signature=signature,
            parallel_iterations=1,
        )
        if self._watched:
            answer |= telemetry.named(answer.pop(_LOOKS))
            answer[schema.SIZE] = features[schema.ORIGINAL_SIZE]
        return answer

    def count_at_picture(self, layer: Layer, raw: Features, logits_of: Network) -> Counts:
        """AT_PICTURE, each pixel counted once; as `WholePictures.count_at_picture`."""
        features = layer(raw)

        def probabilities_of(pictures: tf.Tensor) -> tf.Tensor:
            return tf.nn.softmax(logits_of(pictures))

        def one(pair: tuple[tf.Tensor, tf.Tensor]) -> Counts:
            predicted, sure = self._slide.segment_surely(self._unpacked(pair[0]), probabilities_of)
            truth = tf.cast(unpack_indices(pair[1]), tf.int64)
            return count_picture(truth, tf.cast(predicted, tf.int64), sure, len(self._classes))

        return tf.map_fn(
            one,
            (features[schema.IMAGE], features[schema.MASK]),
            fn_output_signature=picture_signature(len(self._classes)),
            parallel_iterations=1,
        )

    # Windows show pictures at their own size.
    count = count_at_picture

    def prepared(self, features: Features) -> dict[str, tf.Tensor]:
        """Pictures and masks, enlarged to the batch's largest: grey, and IGNORE_INDEX."""
        largest = _largest(features)
        images = tf.map_fn(
            lambda one: enlarged(tf.cast(self._unpacked(one), tf.float32), largest, MIDDLE_GREY),
            features[schema.IMAGE],
            fn_output_signature=tf.TensorSpec([None, None, self._channels], tf.float32),
        )
        masks = tf.map_fn(
            lambda one: enlarged(
                tf.cast(unpack_indices(one), tf.int64), largest, schema.IGNORE_INDEX
            ),
            features[schema.MASK],
            fn_output_signature=tf.TensorSpec([None, None], tf.int64),
        )
        return {**features, schema.IMAGE: images, schema.MASK: masks}

    def _unpacked(self, packed: tf.Tensor) -> tf.Tensor:
        return unpack_image(packed, self._channels)


def _largest(features: Features) -> tf.Tensor:
    """Height and width that hold each picture of a batch: int64 [2]; 0 of an empty one."""
    return tf.reduce_max(tf.concat([features[schema.ORIGINAL_SIZE], [[0, 0]]], 0), 0)
