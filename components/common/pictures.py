"""Decoding of encoded pictures and masks, the same wherever a step needs it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

# What the model decodes itself; anything else that Pillow can read becomes a PNG.
MODEL_FORMATS = ("JPEG", "PNG", "GIF")
_ORIENTATION_TAG = 0x0112
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
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


def for_model(content: bytes, turn: bool = True) -> bytes:
    """A picture as the model can take it: JPEG, PNG or GIF, upright.

    A model sees pixels only: a phone's picture, stored lying, would be segmented
    lying, and its mask would not lie over what a viewer shows.

    Args:
      content: any file that Pillow can read.
      turn: whether to turn it as its EXIF orientation says.

    Returns:
      `content` itself where that will do (it is not decoded then), or else a PNG.

    Raises:
      OSError: it is no picture, or one that has to be decoded and can't be.
    """
    with opened(content) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) not in (0, 1)
        if image.format in MODEL_FORMATS and not turned:
            return content
        buffer = io.BytesIO()
        upright = ImageOps.exif_transpose(image) if turn else image
        as_rgb(upright).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


@contextlib.contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """A picture file, its header read.

    Raises:
      OSError: it is no picture, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except UnidentifiedImageError as error:  # its own message names a Python object
        raise OSError("it is no picture") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds on damaged files
        raise OSError(f"{type(error).__name__}: {error}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture in 8-bit RGB."""
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off
        image = image.point(lambda value: value / 257).convert("L")
    return image.convert("RGB")


def pixels_of(encoded: bytes) -> int | None:
    """Width x height that a picture's header tells, without decoding it.

    Returns:
      The product (of what Pillow itself calls a bomb: a lower bound); None where there is
      no header that Pillow knows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:  # it has more than that
        return (Image.MAX_IMAGE_PIXELS or 0) * 2
    except Exception:  # Pillow's readers fail in many ways on what is no picture
        return None


def begins(encoded: tf.Tensor, start: bytes) -> tf.Tensor:
    """bool, of the strings' shape: which of them begin so."""
    shape = tf.shape(encoded)
    return (
        tf.strings.substr(encoded, tf.zeros(shape, tf.int32), tf.fill(shape, len(start))) == start
    )


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
