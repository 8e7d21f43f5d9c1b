"""Random changes of training batches, the same for a picture and its mask."""

from __future__ import annotations

import tensorflow as tf

from components.trainer.config import AugmentationConfig


def augment(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, config: AugmentationConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips, crops and recolours a batch, every picture by its own chance.

    Args:
      image: float32 [batch, height, width, channels] in [0, 1].
      mask: uint8 [batch, height, width].
      seed: int32 [2]; the same seed makes the same changes.
      config: which changes, and how large.

    Returns:
      Image and mask of the same shapes and types.
    """
    seeds = tf.random.split(seed, 3)
    if config.horizontal_flip:
        image, mask = _flip(image, mask, seeds[0])
    if config.min_scale < 1:
        image, mask = _crop(image, mask, seeds[1], config.min_scale)
    if config.brightness or config.contrast or config.saturation:
        image = _recolor(image, seeds[2], config)
    return image, mask


def _flip(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    flipped = tf.random.stateless_uniform([tf.shape(image)[0]], seed) < 0.5
    image = tf.where(flipped[:, None, None, None], tf.reverse(image, [2]), image)
    mask = tf.where(flipped[:, None, None], tf.reverse(mask, [2]), mask)
    return image, mask


def _crop(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, min_scale: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts out a part of the picture and resizes it to the whole."""
    count, size = tf.shape(image)[0], image.shape[1:3]
    chance = tf.random.stateless_uniform([count, 3], seed)
    scale = min_scale + (1 - min_scale) * chance[:, 0]
    top, left = (1 - scale) * chance[:, 1], (1 - scale) * chance[:, 2]
    boxes = tf.stack([top, left, top + scale, left + scale], axis=1)
    which = tf.range(count)
    image = tf.image.crop_and_resize(image, boxes, which, size)
    nearest = tf.image.crop_and_resize(mask[..., None], boxes, which, size, method="nearest")
    return image, tf.cast(nearest[..., 0], mask.dtype)


def _recolor(image: tf.Tensor, seed: tf.Tensor, config: AugmentationConfig) -> tf.Tensor:
    chance = tf.random.stateless_uniform([3, tf.shape(image)[0], 1, 1, 1], seed, -1, 1)
    # Of bands that are no colours, the grey is their mean.
    is_rgb = image.shape[-1] == 3
    grey = tf.image.rgb_to_grayscale(image) if is_rgb else tf.reduce_mean(image, -1, keepdims=True)
    image = grey + (image - grey) * (1 + config.saturation * chance[0])
    mean = tf.reduce_mean(image, axis=[1, 2, 3], keepdims=True)
    image = mean + (image - mean) * (1 + config.contrast * chance[1])
    return tf.clip_by_value(image + config.brightness * chance[2], 0.0, 1.0)
