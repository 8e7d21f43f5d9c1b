"""What is wrong with an example that can't be used, in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from components.common import band_tensors, picture_formats, pictures, schema
from components.common.bands import BandsConfig
from components.example_gen.config import BadExamplesConfig


def find_problem(
    image: bytes,
    mask: bytes,
    classes: schema.ClassTable,
    limits: BadExamplesConfig,
    bands: BandsConfig | None = None,
) -> str:
    """Looks for what is wrong with a picture and its mask, one thing after the other.

    Args:
      image: encoded.
      mask: encoded.
      classes: the values that a mask may have.
      limits: how large a picture may be.
      bands: what is in a picture.

    Returns:
      The first thing that is, in one line; empty: nothing.
    """
    try:
        decode = partial(band_tensors.decode_picture, bands=bands)
        pixels = _decode(decode, image, "image", limits)
        decoder = pictures.decode_wide_mask if pictures.is_wide(mask) else pictures.decode_mask
        values = _decode(decoder, mask, "mask", limits)
    except _UndecodableError as error:
        return str(error)
    if pixels.shape[:2] != values.shape:
        return (
            f"the mask is {values.shape[1]}x{values.shape[0]}, "
            f"the image {pixels.shape[1]}x{pixels.shape[0]} (width x height); "
            "both must have the same size"
        )
    found, counts = np.unique(values, return_counts=True)
    unknown = np.flatnonzero(~np.isin(found, list(classes.stored_values())))
    if unknown.size:
        return (
            f"the mask has the value {found[unknown[0]]} ({counts[unknown[0]]} pixels), "
            f"which no class has (classes: {classes.describe()}); "
            "add it to classes.values or to classes.ignore_values"
        )
    return ""


class _UndecodableError(Exception):
    """The message says what can't be decoded, and why."""


def _decode(
    decoder: Callable[[bytes], tf.Tensor], encoded: bytes, what: str, limits: BadExamplesConfig
) -> np.ndarray:
    pixels = picture_formats.pixels_of(encoded)
    if pixels and pixels > limits.max_pixels:
        raise _UndecodableError(
            f"its {what} says it has {pixels / 1e6:,.0f} million pixels, which "
            "dataset.bad_examples.max_pixels does not allow"
        )
    try:
        # TensorFlow takes BMP too, but reads palette BMPs wrongly, without a word.
        if not encoded.startswith(b"BM"):
            return decoder(encoded).numpy()
    except tf.errors.InvalidArgumentError:
        pass
    raise _UndecodableError(
        f"its {what} can't be decoded: {len(encoded)} bytes that are no JPEG, PNG or GIF, "
        "or a truncated one"
    )
