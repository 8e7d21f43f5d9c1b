"""The preprocessing_fn of TensorFlow Transform.

After TensorFlow's segmentation tutorial (`load_image` and `normalize`): bilinear
resize of the picture and nearest-neighbour resize of the mask, picture scaled to
[0, 1], labels shifted to 0, 1, 2, …

It needs no pass over the data (there are no analyzers), so the Transform step
writes its graph and nothing else; see docs/explanation/design.md for what
materialising the result would cost.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.common import pictures, schema
from components.transform.config import TransformConfig


def preprocessing_fn(
    inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Prepares a batch of raw examples.

    Args:
      inputs: raw features, each [batch, 1]: encoded IMAGE and MASK.
      custom_config: `transform` (TransformConfig) and `classes` (ClassTable), as JSON.

    Returns:
      IMAGE: float32 [batch, height, width, 3] in [0, 1]; MASK: int64 [batch,
      height, width] of class indices (IGNORE_INDEX where the config ignores the
      raw value); ORIGINAL_SIZE: int64 [batch, 2], height and width before resizing.
    """
    config = TransformConfig.model_validate_json(custom_config["transform"])
    classes = schema.ClassTable.model_validate_json(custom_config["classes"])
    image, size = prepare_images(inputs[schema.IMAGE][:, 0], config.image_size)
    return {
        schema.IMAGE: image,
        schema.ORIGINAL_SIZE: size,
        schema.MASK: prepare_masks(inputs[schema.MASK][:, 0], config.image_size, classes),
    }


def prepare_images(encoded: tf.Tensor, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes, resizes and scales pictures.

    Args:
      encoded: string [batch].
      size: height and width to resize to.

    Returns:
      float32 [batch, height, width, 3] in [0, 1], and the sizes before resizing,
      int64 [batch, 2].
    """

    def prepare(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = pictures.decode_image(one)
        resized = tf.image.resize(image, size, method="bilinear")
        return resized / 255.0, tf.shape(image, out_type=tf.int64)[:2]

    return tf.map_fn(
        prepare,
        encoded,
        fn_output_signature=(
            tf.TensorSpec([*size, 3], tf.float32),
            tf.TensorSpec([2], tf.int64),
        ),
    )


def prepare_masks(
    encoded: tf.Tensor, size: tuple[int, int], classes: schema.ClassTable
) -> tf.Tensor:
    """Decodes and resizes masks, and maps raw values to class indices.

    Args:
      encoded: string [batch].
      size: height and width to resize to.
      classes: the mapping.

    Returns:
      int64 [batch, height, width].

    Raises:
      tf.errors.InvalidArgumentError: a raw value that no class has. (TfdsExampleGen
        has found those by name before; this is the last line of defence.)
    """
    # An unknown value becomes an index that the second look-up does not have. An
    # assertion would say it better, but it would also keep the masks' part of the
    # graph alive where only images are given, as in serving.
    table = tf.constant(classes.lookup_table(unknown=256), tf.int64)
    known = tf.range(256, dtype=tf.int64)

    def prepare(one: tf.Tensor) -> tf.Tensor:
        mask = pictures.decode_mask(one)[..., tf.newaxis]
        raw = tf.image.resize(mask, size, method="nearest")[..., 0]
        return tf.gather(known, tf.gather(table, tf.cast(raw, tf.int32)))

    return tf.map_fn(prepare, encoded, fn_output_signature=tf.TensorSpec(size, tf.int64))
