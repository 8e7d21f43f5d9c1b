"""The preprocessing_fn of TensorFlow Transform.

After TensorFlow's segmentation tutorial (`load_image` and `normalize`): bilinear
resize of the picture and nearest-neighbour resize of the mask, picture scaled to
[0, 1], labels shifted to 0, 1, 2, …

Pictures of 8 bits in red, green and blue need no pass over the data, so the Transform step
writes its graph and nothing else. Of other bands it learns their scale from the training split;
see docs/explanation/design.md for what materialising the result would cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from components.common import band_tensors, pictures, schema
from components.common.bands import BandsConfig, channels_of
from components.common.picture_fit import MIDDLE_GREY, PictureFit, WholeFit, content_box, place
from components.transform.band_scale import learned_scale

Scale = Callable[[tf.Tensor], tf.Tensor]  # from values as they are stored to [0, 1]


def preprocessing_fn(
    inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Prepares a batch of raw examples.

    Args:
      inputs: raw features, each [batch, 1]: encoded IMAGE and MASK.
      custom_config: `transform` (PictureFit), `classes` (ClassTable) and, where the pictures are
        not of 8 bits in red, green and blue, `bands` (BandsConfig), as JSON.

    Returns:
      IMAGE: float32 [batch, height, width, channels] in [0, 1]; MASK: int64 [batch,
      height, width] of class indices (IGNORE_INDEX where the config ignores the
      raw value, and in padding); ORIGINAL_SIZE: int64 [batch, 2], height and width before
      resizing; CONTENT_BOX: int64 [batch, 4], where in IMAGE the picture lies.
      With `fit: tiles` pictures keep their sizes: IMAGE and MASK are strings [batch], for
      `pictures.unpack_image` and `unpack_indices`.
    """
    config = PictureFit.model_validate_json(custom_config["transform"])
    classes = schema.ClassTable.model_validate_json(custom_config["classes"])
    bands = None
    scale: Scale = eight_bits
    if "bands" in custom_config:
        bands = BandsConfig.model_validate_json(custom_config["bands"])
        scale = learned_scale(inputs[schema.IMAGE][:, 0], bands)
    if config.fit == "tiles":
        packed, size = pack_images(inputs[schema.IMAGE][:, 0], bands, scale)
        return {
            schema.IMAGE: packed,
            schema.ORIGINAL_SIZE: size,
            schema.CONTENT_BOX: tf.concat([tf.zeros_like(size), size], -1),
            schema.MASK: pack_masks(inputs[schema.MASK][:, 0], classes),
        }
    image, size, box = prepare_images(
        inputs[schema.IMAGE][:, 0], config.image_size, config.fit, bands, scale
    )
    boxes = None if config.fit == "stretch" else box
    return {
        schema.IMAGE: image,
        schema.ORIGINAL_SIZE: size,
        schema.CONTENT_BOX: box,
        schema.MASK: prepare_masks(inputs[schema.MASK][:, 0], config.image_size, classes, boxes),
    }


def eight_bits(pixels: tf.Tensor) -> tf.Tensor:
    """From 0–255 to [0, 1], as in the tutorial."""
    return pixels / 255


def pack_images(
    encoded: tf.Tensor, bands: BandsConfig | None = None, scale: Scale = eight_bits
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and scales pictures of any size.

    Args:
      encoded: string [batch].
      bands: what is in them.
      scale: of their values.

    Returns:
      string [batch], packed pictures in [0, 1]; their sizes, int64 [batch, 2].
    """

    def prepare(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = band_tensors.decode_picture(one, bands)
        return pictures.pack_image(scale(image)), tf.shape(image, tf.int64)[:2]

    return tf.map_fn(
        prepare,
        encoded,
        fn_output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int64)),
        parallel_iterations=1,
    )


def pack_masks(encoded: tf.Tensor, classes: schema.ClassTable) -> tf.Tensor:
    """Decodes masks of any size, and maps raw values to class indices.

    Args:
      encoded: string [batch].
      classes: the mapping.

    Returns:
      string [batch], packed.

    Raises:
      tf.errors.InvalidArgumentError: a raw value that no class has.
    """
    lookup = classes.lookup_table(unknown=pictures.NO_INDEX)

    def packed(one: tf.Tensor) -> tf.Tensor:
        return pictures.pack_indices(pictures.class_indices(pictures.decode_mask(one), lookup))

    return tf.map_fn(
        packed,
        encoded,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )


def prepare_images(
    encoded: tf.Tensor,
    size: tuple[int, int],
    fit: WholeFit = "stretch",
    bands: BandsConfig | None = None,
    scale: Scale = eight_bits,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes, resizes and scales pictures.

    Args:
      encoded: string [batch].
      size: height and width to resize to.
      fit: how other proportions are fitted in.
      bands: what is in them.
      scale: of their values.

    Returns:
      float32 [batch, height, width, channels] in [0, 1], padding middle grey; the sizes before
      resizing, int64 [batch, 2]; where the pictures lie now, int64 [batch, 4].
    """

    def prepare(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image = band_tensors.decode_picture(one, bands)
        original = tf.shape(image, out_type=tf.int64)[:2]
        box = content_box(original, size, fit)
        if fit == "stretch":
            return scale(tf.image.resize(image, size, method="bilinear")), original, box
        resized = tf.image.resize(image, tf.cast(box[2:], tf.int32), method="bilinear")
        return place(scale(resized), box, size, MIDDLE_GREY), original, box

    return tf.map_fn(
        prepare,
        encoded,
        fn_output_signature=(
            tf.TensorSpec([*size, channels_of(bands)], tf.float32),
            tf.TensorSpec([2], tf.int64),
            tf.TensorSpec([4], tf.int64),
        ),
    )


def prepare_masks(
    encoded: tf.Tensor,
    size: tuple[int, int],
    classes: schema.ClassTable,
    boxes: tf.Tensor | None = None,
) -> tf.Tensor:
    """Decodes and resizes masks, and maps raw values to class indices.

    Args:
      encoded: string [batch].
      size: height and width to resize to.
      classes: the mapping.
      boxes: int64 [batch, 4], where their pictures lie; None: everywhere.

    Returns:
      int64 [batch, height, width]; padding is IGNORE_INDEX.

    Raises:
      tf.errors.InvalidArgumentError: a raw value that no class has.
    """
    lookup = classes.lookup_table(unknown=pictures.NO_INDEX)

    def resized(one: tf.Tensor, size: tuple[int, int] | tf.Tensor) -> tf.Tensor:
        mask = pictures.decode_mask(one)[..., tf.newaxis]
        raw = tf.image.resize(mask, size, method="nearest")[..., 0]
        return pictures.class_indices(raw, lookup)

    def placed(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        content = resized(one[0], tf.cast(one[1][2:], tf.int32))
        return place(content, one[1], size, schema.IGNORE_INDEX)

    signature = tf.TensorSpec(size, tf.int64)
    if boxes is None:
        return tf.map_fn(lambda one: resized(one, size), encoded, fn_output_signature=signature)
    return tf.map_fn(placed, (encoded, boxes), fn_output_signature=signature)
