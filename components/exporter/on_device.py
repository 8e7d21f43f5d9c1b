"""What a device runs: the network, and what makes a mask of its logits."""

from __future__ import annotations

import tensorflow as tf

from components.common.exported_model import (
    CONFIDENCE_OUTPUT,
    IMAGE_INPUT,
    MASK_OUTPUT,
    PROBABILITIES_OUTPUT,
)
from components.common.network import Network


def on_device(
    network: Network,
    image_size: tuple[int, int],
    num_classes: int,
    temperature: float | None = None,
) -> tf.Module:
    """What a device runs.

    Args:
      network: from `take_network`.
      image_size: height and width.
      num_classes: number of classes C.
      temperature: of the confidence; None: the model is not calibrated, and there is none.

    Returns:
      A module whose `segment` takes `image`: float32 [1, height, width, 3], RGB from 0 to 255
      (not uint8: what a resize gives are no whole numbers), and gives `mask`: uint8
      [1, height, width], class indices, `probabilities`: float32 [1, height, width, C], from
      which masks of other sizes are made, and `confidence`: float32 [1, height, width], the
      calibrated probability of the mask's class.
    """
    spec = tf.TensorSpec([1, *image_size, 3], tf.float32, name=IMAGE_INPUT)

    def segment(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.ensure_shape(network(image / 255.0), [1, *image_size, num_classes])
        told = {
            # Of the logits: quantized probabilities are equal where logits are not.
            MASK_OUTPUT: tf.cast(tf.argmax(logits, -1, tf.int32), tf.uint8),
            PROBABILITIES_OUTPUT: tf.nn.softmax(logits),
        }
        if temperature is not None:
            calibrated = tf.nn.softmax(logits * (1 / temperature))
            told[CONFIDENCE_OUTPUT] = tf.reduce_max(calibrated, -1)
        return told

    module = tf.Module()
    module.segment = tf.function(segment, input_signature=[spec])
    return module
