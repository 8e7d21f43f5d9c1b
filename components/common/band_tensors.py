"""Pictures of many bands in TensorFlow's graphs: their headers, their values."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from components.common import pictures
from components.common.bands import NPY_START, BandsConfig

_BEFORE = len(NPY_START) + 2  # and the header's length
_LONGEST_HEADER = 192  # bytes, of the arrays that pictures are
_DESCRIPTIONS = {"uint8": r"\|u1", "uint16": "<u2", "int16": "<i2", "float32": "<f4"}
# PNG's kinds of colour, at their place in its header.
_PNG_KINDS = {1: 0, 3: 2, 4: 6}
_PNG_BITS = {"uint8": 8, "uint16": 16}


class Headers(NamedTuple):
    """What the headers of a batch say.

    Attributes:
      good: bool [batch], whether it is an .npy of these bands and this depth, and complete.
      size: int64 [batch, 2], height and width; 0 where it is of another kind.
      start: int32 [batch], where the values begin.
    """

    good: tf.Tensor
    size: tf.Tensor
    start: tf.Tensor


def read_headers(encoded: tf.Tensor, bands: BandsConfig) -> Headers:
    """Reads the headers of .npy files, without their values.

    Args:
      encoded: string [batch].
      bands: which values there must be.
    """
    length = tf.strings.length(encoded)
    filled = tf.strings.join(
        [tf.strings.substr(encoded, tf.zeros_like(length), tf.minimum(length, _BEFORE)), b"\0" * 10]
    )
    first = tf.io.decode_raw(
        tf.strings.substr(filled, tf.zeros_like(length), tf.fill(tf.shape(length), _BEFORE)),
        tf.uint8,
    )
    first = tf.cast(tf.reshape(first, [-1, _BEFORE]), tf.int32)
    start = _BEFORE + first[:, -2] + 256 * first[:, -1]
    is_npy = pictures.begins(encoded, NPY_START) & (length >= start)
    at = tf.where(is_npy, _BEFORE, 0)
    text = tf.strings.substr(encoded, at, tf.where(is_npy, start - _BEFORE, 0))
    # (A single band may be told or not.)
    last = r"(?:, 1)?" if bands.channels == 1 else f", {bands.channels}"
    known = (
        rf"\{{'descr': '{_DESCRIPTIONS[bands.depth]}', 'fortran_order': False, "
        rf"'shape': \((\d{{1,7}}), (\d{{1,7}}){last}\), ?\}}\s*"
    )
    is_npy &= tf.strings.regex_full_match(text, known)
    size = tf.stack(
        [
            tf.strings.to_number(
                tf.where(is_npy, tf.strings.regex_replace(text, known, group), b"0"), tf.int64
            )
            for group in (r"\1", r"\2")
        ],
        axis=1,
    )
    pixels = tf.reduce_prod(size, axis=1)
    wanted = pixels * bands.pixel_bytes
    good = is_npy & (pixels > 0) & (tf.cast(length - start, tf.int64) == wanted)
    return Headers(good, size, start)


def npy_wanted(bands: BandsConfig) -> str:
    """Which .npy files are taken, in words, for whom another one is refused."""
    number = _DESCRIPTIONS[bands.depth].replace("\\", "")
    shape = f"[height, width, {bands.channels}]"
    return f"{shape} of {number}, in C order, format 1.0, with all of its values"


def told_headers(encoded: tf.Tensor) -> tf.Tensor:
    """What .npy files, of any kind, say of themselves: string [batch]; empty: it is none.

    Without their quotes, which a message's own would make unreadable.

    Args:
      encoded: string [batch].
    """
    length = tf.strings.length(encoded)
    beginning = tf.strings.substr(
        encoded, tf.zeros_like(length), tf.minimum(length, _LONGEST_HEADER)
    )
    is_npy = pictures.begins(encoded, NPY_START[:-2])
    text = tf.strings.regex_replace(beginning, r"^\C*?(\{[ -~]*\})\C*$", r"\1")
    told = tf.where(is_npy & tf.strings.regex_full_match(text, r"\{[ -~]*\}"), text, "")
    return tf.strings.regex_replace(told, "'", "")


def has_png(bands: BandsConfig) -> bool:
    """Whether there are PNGs of so many bands and this depth."""
    return bands.depth in _PNG_BITS and bands.channels in _PNG_KINDS


def is_png_of(encoded: tf.Tensor, bands: BandsConfig) -> tf.Tensor:
    """bool [batch]: which are complete PNGs of these bands and this depth."""
    if not has_png(bands):
        return tf.zeros_like(encoded, tf.bool)
    form = bytes([_PNG_BITS[bands.depth], _PNG_KINDS[bands.channels]])
    return (pictures.png_form(encoded) == form) & pictures.ends(encoded, pictures.PNG_END)


def decode(encoded: tf.Tensor, bands: BandsConfig) -> tf.Tensor:
    """Decodes one picture.

    Args:
      encoded: string scalar, an .npy of these bands and this depth, or a PNG that has them.
      bands: which.

    Returns:
      [height, width, channels] of the depth's type.

    Raises:
      tf.errors.InvalidArgumentError: it is none.
    """
    dtype = tf.as_dtype(bands.depth)

    def from_npy() -> tf.Tensor:
        found = read_headers(encoded[tf.newaxis], bands)
        problem = f"no .npy of {bands.channels} bands of {bands.depth}"
        with tf.control_dependencies([tf.debugging.Assert(found.good[0], [problem])]):
            start, size = tf.identity(found.start[0]), tf.identity(found.size[0])
        values = tf.strings.substr(encoded, start, tf.strings.length(encoded) - start)
        shape = tf.concat([size, [bands.channels]], 0)
        return tf.reshape(tf.io.decode_raw(values, dtype), shape)

    def from_png() -> tf.Tensor:
        return tf.io.decode_png(encoded, bands.channels, dtype)

    if has_png(bands):
        pixels = tf.cond(is_png_of(encoded[tf.newaxis], bands)[0], from_png, from_npy)
    else:
        pixels = from_npy()
    return tf.ensure_shape(pixels, [None, None, bands.channels])


def decode_picture(encoded: tf.Tensor, bands: BandsConfig | None = None) -> tf.Tensor:
    """Decodes one picture of the examples, or of a request.

    Args:
      encoded: string scalar.
      bands: what is in it; None: JPEG, PNG or GIF, in red, green and blue.

    Returns:
      [height, width, channels]: uint8 and three, or what the bands say.

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no such picture.
    """
    return decode(encoded, bands) if bands else pictures.decode_image(encoded)


def header_pixels(encoded: tf.Tensor, bands: BandsConfig | None = None) -> tf.Tensor:
    """Width x height that pictures' headers tell: int64 [batch]; 0: none of these forms.

    Args:
      encoded: string [batch].
      bands: what is in them; None: JPEG, PNG or GIF.
    """
    pixels = pictures.header_pixels(encoded)
    if bands:
        pixels += tf.reduce_prod(read_headers(encoded, bands).size, axis=1)
    return pixels
