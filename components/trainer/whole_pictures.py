"""What the saved model says of pictures that it sees whole: stretched, or padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from components.common import schema, telemetry
from components.common.picture_fit import PictureFit, inside
from components.common.reliability import confidence_of
from components.trainer.counting import Counts, count_at_picture, count_pixels
from components.trainer.own_size import masks_and_shares_at_size, masks_at_size

Features = Mapping[str, tf.Tensor]
Layer = Callable[[Features], Features]
# float32 [n, *image_size, channels] to [n, *image_size, C]
Network = Callable[[tf.Tensor], tf.Tensor]


class WholePictures:
    """From the Transform step's features to answers and counts.

    Args:
      fit: size of what the network sees, and how pictures are fitted in.
      classes: the class table.
      temperature: of the confidence, which no class depends on; None: as it is.
      watched: whether answers have telemetry.
    """

    def __init__(
        self,
        fit: PictureFit,
        classes: schema.ClassTable,
        temperature: float | None = None,
        watched: bool = False,
    ) -> None:
        self._fit = fit
        self._classes = classes
        self._temperature = temperature
        self._watched = watched

    def answer(self, features: Features, probabilities_of: Network) -> dict[str, tf.Tensor]:
        """MASK uint8 [B, H, W], MASK_PNG_BYTES string [B], CONFIDENCE float32 [B].

        Telemetry: CLASS_SHARES float32 [B, C]; BRIGHTNESS, CONTRAST, SHARPNESS float32 [B]; SIZE
        int64 [B, 2].
        """
        probabilities = probabilities_of(features[schema.IMAGE])
        boxes, sizes = features[schema.CONTENT_BOX], features[schema.ORIGINAL_SIZE]
        mask = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
        winning = confidence_of(probabilities, self._temperature)
        if self._fit.fit == "stretch":
            confidence = tf.reduce_mean(winning, [1, 2])
        else:
            shown = inside(boxes, self._fit.image_size)
            mask = tf.where(shown, mask, schema.IGNORE_INDEX)
            counted = tf.cast(shown, tf.float32)
            confidence = tf.reduce_sum(winning * counted, [1, 2]) / tf.reduce_sum(counted, [1, 2])
        answer = {schema.MASK: mask, schema.CONFIDENCE: confidence}
        if not self._watched:
            return {**answer, schema.MASK_PNG_BYTES: masks_at_size(probabilities, boxes, sizes)}
        pngs, shares = masks_and_shares_at_size(probabilities, boxes, sizes)
        images = features[schema.IMAGE]
        whole = self._fit.fit == "stretch"
        looks = telemetry.look_at(images) if whole else telemetry.look_at_each(images, boxes)
        return {
            **answer,
            schema.MASK_PNG_BYTES: pngs,
            schema.CLASS_SHARES: shares,
            schema.SIZE: sizes,
            **telemetry.named(looks),
        }

    def count(self, layer: Layer, raw: Features, logits_of: Network) -> Counts:
        """AT_MODEL, at the model's size.

        Args:
          layer: the Transform step's.
          raw: IMAGE and MASK of the examples.
          logits_of: the network.
        """
        features = layer(raw)
        logits = logits_of(features[schema.IMAGE])
        predicted = tf.argmax(logits, axis=-1)
        confidence = confidence_of(tf.nn.softmax(logits), self._temperature)
        return count_pixels(features[schema.MASK], predicted, confidence, len(self._classes))

    def count_at_picture(self, layer: Layer, raw: Features, logits_of: Network) -> Counts:
        """Likewise at the size that each mask has itself, and both masks there: AT_PICTURE."""
        features = layer({schema.IMAGE: raw[schema.IMAGE]})
        probabilities = tf.nn.softmax(logits_of(features[schema.IMAGE]))
        masks, boxes = raw[schema.MASK][:, 0], features[schema.CONTENT_BOX]
        return count_at_picture(masks, probabilities, boxes, self._classes, self._temperature)

    def prepared(self, features: Features) -> dict[str, tf.Tensor]:
        """What the network sees and is held against."""
        return dict(features)
