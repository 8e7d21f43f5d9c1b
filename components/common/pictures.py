"""Decoding of encoded pictures and masks, the same wherever a step needs it."""

from __future__ import annotations

import tensorflow as tf

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
_PNG_FORM = 24  # where its header says of what form the pixels are
_GIF_START = b"GIF"


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one picture to RGB.

    JPEG, PNG and GIF (first frame); grey, palette and RGBA pictures come out as
    RGB, the alpha channel is dropped.

    Args:
      encoded: string scalar.

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no picture.
    """
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one mask of raw values.

    Args:
      encoded: string scalar, a single-channel 8-bit PNG (as TFDS stores it).

    Returns:
      uint8 [height, width].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no picture.
    """
    return tf.io.decode_image(encoded, channels=1, expand_animations=False)[..., 0]


# Where pictures keep their own sizes, a batch of them is one of strings.
_PIXEL, _INDEX = tf.float16, tf.uint8


def pack_image(image: tf.Tensor) -> tf.Tensor:
    """A prepared picture [height, width, bands] as a string scalar.

    In half precision: 11 bits are more than an 8-bit picture has, and half the memory.
    """
    return tf.io.serialize_tensor(tf.cast(image, _PIXEL))


def unpack_image(packed: tf.Tensor, bands: int = 3) -> tf.Tensor:
    """What `pack_image` has packed: float16 [height, width, bands]."""
    return tf.ensure_shape(tf.io.parse_tensor(packed, _PIXEL), [None, None, bands])


def pack_indices(mask: tf.Tensor) -> tf.Tensor:
    """A mask [height, width] of class indices as a string scalar."""
    return tf.io.serialize_tensor(tf.cast(mask, _INDEX))


def unpack_indices(packed: tf.Tensor) -> tf.Tensor:
    """What `pack_indices` has packed: uint8 [height, width]."""
    return tf.ensure_shape(tf.io.parse_tensor(packed, _INDEX), [None, None])


NO_INDEX = 256  # of a raw value that no class has


def class_indices(mask: tf.Tensor, lookup: list[int]) -> tf.Tensor:
    """Maps a mask's raw values to class indices.

    Args:
      mask: uint8, any shape.
      lookup: 256 entries, NO_INDEX where no class has the value.

    Returns:
      int64 of the same shape.

    Raises:
      tf.errors.InvalidArgumentError: a raw value that no class has. (TfdsExampleGen
        has found those by name before; this is the last line of defence.)
    """
    # An unknown value becomes an index that the second look-up does not have. An
    # assertion would say it better, but it would also keep the masks' part of the
    # graph alive where only images are given, as in serving.
    known = tf.range(NO_INDEX, dtype=tf.int64)
    table = tf.constant(lookup, tf.int64)
    return tf.gather(known, tf.gather(table, tf.cast(mask, tf.int32)))


def is_wide(encoded: bytes) -> bool:
    """Whether it is a PNG with 16 bits a channel; `decode_mask` would drop half of them."""
    return encoded.startswith(PNG_START) and encoded[24:25] == b"\x10"


def decode_wide_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a mask of 16-bit values.

    Args:
      encoded: string scalar, a grey 16-bit PNG.

    Returns:
      uint16 [height, width].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no PNG.
    """
    return tf.io.decode_png(encoded, channels=1, dtype=tf.uint16)[..., 0]


def begins(encoded: tf.Tensor, start: bytes) -> tf.Tensor:
    """bool, of the strings' shape: which of them begin so."""
    shape = tf.shape(encoded)
    return (
        tf.strings.substr(encoded, tf.zeros(shape, tf.int32), tf.fill(shape, len(start))) == start
    )


def ends(encoded: tf.Tensor, end: bytes) -> tf.Tensor:
    """bool, of the strings' shape: which of them end so."""
    length = tf.strings.length(encoded)
    at = tf.maximum(length - len(end), 0)
    return tf.strings.substr(encoded, at, tf.fill(tf.shape(length), len(end))) == end


def png_form(encoded: tf.Tensor) -> tf.Tensor:
    """What PNGs' headers say of their pixels: two bytes, bits of a channel and kind of colour.

    Args:
      encoded: string [batch].

    Returns:
      string [batch], empty where it is no PNG.
    """
    png = begins(encoded, PNG_START) & (tf.strings.length(encoded) >= _PNG_FORM + 2)
    return tf.strings.substr(encoded, tf.where(png, _PNG_FORM, 0), tf.where(png, 2, 0))


def header_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Width x height that pictures' headers tell, without decoding them.

    Args:
      encoded: string [batch].

    Returns:
      int64 [batch]; 0: it is no JPEG, PNG or GIF.

    Raises:
      tf.errors.InvalidArgumentError: one begins as a JPEG, but has no JPEG's header.
    """

    def numbers(kind: bytes, start: int, dtype: tf.DType, little_endian: bool) -> tf.Tensor:
        size = 2 * dtype.size
        there = begins(encoded, kind) & (tf.strings.length(encoded) >= start + size)
        header = tf.strings.substr(encoded, tf.where(there, start, 0), tf.where(there, size, 0))
        header = tf.where(there, header, b"\0" * size)
        return tf.reduce_prod(tf.cast(tf.io.decode_raw(header, dtype, little_endian), tf.int64), 1)

    is_jpeg = begins(encoded, JPEG_START)
    jpeg = tf.map_fn(
        lambda one: tf.reduce_prod(tf.image.extract_jpeg_shape(one, tf.int64)[:2]),
        tf.boolean_mask(encoded, is_jpeg),
        fn_output_signature=tf.TensorSpec([], tf.int64),
    )
    # PNG holds 31-bit numbers; a negative one is no size.
    others = numbers(PNG_START, 16, tf.int32, False) + numbers(_GIF_START, 6, tf.uint16, True)
    return tf.tensor_scatter_nd_add(others, tf.where(is_jpeg), jpeg)
