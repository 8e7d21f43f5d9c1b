"""What is in pictures and their masks, found out for a batch at a time in one TensorFlow graph.

Taking each picture by itself through Python costs several times what decoding it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.common import band_tensors, pictures, schema
from components.common.bands import BandsConfig
from components.example_gen.config import BadExamplesConfig

_SMALL_SIDE = 32  # pixels
# Each of Beam's threads has its own batch, so that more would only take memory.
_AT_ONCE = 2


class Examination(NamedTuple):
    """What was seen, of a batch of n examples; NumPy arrays of the dtypes below.

    Attributes:
      size: int64 [n, 2], height and width in pixels.
      small: float32 [n, 32, 32, 3], the pictures' means over areas, 0 to 255. Of pictures with
        other bands: three times the bands' mean, the depth's largest value (of floats: 1) as 255.
      class_pixels: int64 [n, classes], in the classes' order.
      mask: bytes [n], a PNG of 8 bits with the values that examples have.
    """

    size: np.ndarray
    small: np.ndarray
    class_pixels: np.ndarray
    mask: np.ndarray


class UnusableError(Exception):
    """A picture or a mask can't be used."""


class Examiner:
    """Decodes pictures and masks, and looks at them.

    Args:
      classes: the values that a mask may have.
      limits: how large a picture may be.
      bands: what is in a picture.
    """

    def __init__(
        self,
        classes: schema.ClassTable,
        limits: BadExamplesConfig,
        bands: BandsConfig | None = None,
    ) -> None:
        self._limits = limits
        self._bands = bands
        stored = classes.stored_values()
        self._wide = classes.wide
        self._largest = max(stored)
        self._stored = [stored.get(value, 0) for value in range(self._largest + 1)]
        self._class_values = list(classes.values.values())
        self._values = sorted(stored)
        strings = tf.TensorSpec([None], tf.string)
        self._examine_narrow = tf.function(
            lambda images, masks: self._examine(images, masks, None), input_signature=[strings] * 2
        )
        self._examine_mixed = tf.function(
            self._examine, input_signature=[strings, strings, tf.TensorSpec([None], tf.bool)]
        )

    def __call__(self, images: Sequence[bytes], masks: Sequence[bytes]) -> Examination:
        """Examines a batch.

        Args:
          images: encoded.
          masks: encoded, in the same order.

        Raises:
          UnusableError: at least one of them can't be used; `problems` tells why.
        """
        wide = [pictures.is_wide(mask) for mask in masks]
        try:
            if self._wide or any(wide):
                tensors = self._examine_mixed(images, masks, wide)
            else:
                tensors = self._examine_narrow(images, masks)
            size, mask_size, small, pixels, mask = (one.numpy() for one in tensors)
        # TensorFlow quotes bytes of the picture in some messages: Python finds no text there.
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise UnusableError from error
        known = pixels[:, self._values].sum(axis=1)
        if (size != mask_size).any() or (known != size.prod(axis=1)).any():
            raise UnusableError
        return Examination(size, small, pixels[:, self._class_values], mask)

    def _examine(
        self, images: tf.Tensor, masks: tf.Tensor, wide: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        """Sizes of pictures and masks, small pictures, pixels by raw value, stored masks.

        Args:
          images: string [batch].
          masks: string [batch].
          wide: bool [batch], which masks have 16 bits; None: none of them.
        """

        def look_at(encoded: tf.Tensor, encoded_mask: tf.Tensor, *is_wide: tf.Tensor) -> tuple:
            image = band_tensors.decode_picture(encoded, self._bands)
            if is_wide:
                values, encoded_mask = self._as_stored(encoded_mask, *is_wide)
            else:
                values = tf.cast(pictures.decode_mask(encoded_mask), tf.int32)
            small = tf.image.resize(image, [_SMALL_SIDE, _SMALL_SIDE], tf.image.ResizeMethod.AREA)
            if self._bands:
                mean = tf.reduce_mean(small, -1, keepdims=True)
                small = tf.repeat(mean, 3, -1) * (255 / self._bands.largest)
            pixels = tf.raw_ops.DenseBincount(  # leaves out what is larger
                input=tf.reshape(values, [-1]),
                size=self._largest + 1,
                weights=tf.constant([], tf.int64),
            )
            size, mask_size = tf.shape(image, tf.int64)[:2], tf.shape(values, tf.int64)
            return size, mask_size, small, pixels, encoded_mask

        checks = [*self._checks(images, self._bands), *self._checks(masks)]
        with tf.control_dependencies(checks):
            images, masks = tf.identity(images), tf.identity(masks)
        return tf.map_fn(
            lambda one: look_at(*one),
            (images, masks) if wide is None else (images, masks, wide),
            fn_output_signature=(
                tf.TensorSpec([2], tf.int64),
                tf.TensorSpec([2], tf.int64),
                tf.TensorSpec([_SMALL_SIDE, _SMALL_SIDE, 3], tf.float32),
                tf.TensorSpec([self._largest + 1], tf.int64),
                tf.TensorSpec([], tf.string),
            ),
            parallel_iterations=_AT_ONCE,
        )

    def _checks(self, encoded: tf.Tensor, bands: BandsConfig | None = None) -> list[tf.Operation]:
        """Made sure of before anything is decoded."""
        # TensorFlow takes BMP too, but reads palette BMPs wrongly, without a word.
        bmp = tf.reduce_any(pictures.begins(encoded, b"BM"))
        pixels = tf.reduce_max(band_tensors.header_pixels(encoded, bands))
        return [
            tf.debugging.Assert(~bmp, ["BMP"]),
            tf.debugging.Assert(pixels <= self._limits.max_pixels, ["pixels"]),
        ]

    def _as_stored(self, encoded: tf.Tensor, is_wide: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A mask's raw values, int32 [height, width], and the mask as examples have it."""
        values = tf.cond(
            is_wide,
            lambda: tf.cast(pictures.decode_wide_mask(encoded), tf.int32),
            lambda: tf.cast(pictures.decode_mask(encoded), tf.int32),
        )

        def stored() -> tf.Tensor:
            known = tf.minimum(values, self._largest)
            return tf.io.encode_png(
                tf.gather(tf.constant(self._stored, tf.uint8), known)[..., tf.newaxis]
            )

        return values, tf.cond(is_wide | self._wide, stored, lambda: encoded)
