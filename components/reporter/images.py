"""Pictures for a page: encoded small, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from components.common import palette, schema

_MOST_OBLONG = 16  # times as long as thick
_DIFFERENCE = np.array((230, 30, 60), np.float32)


def photograph(picture: np.ndarray, longest_side: int = 256) -> str:
    """Encodes a photograph as JPEG.

    Args:
      picture: uint8 [height, width, 3].
      longest_side: in pixels; a larger picture is reduced.

    Returns:
      A data URI.
    """
    image = _thickened(Image.fromarray(picture))
    image.thumbnail((longest_side, longest_side))
    return _data_uri(image, "JPEG", quality=85)


def mask(indices: np.ndarray, num_classes: int, longest_side: int = 256) -> str:
    """Encodes a mask of class indices in the classes' colours, as palette PNG.

    Args:
      indices: uint8 [height, width].
      num_classes: for the colours.
      longest_side: in pixels; a larger mask is reduced.

    Returns:
      A data URI.
    """
    image = _thickened(Image.fromarray(np.asarray(indices, np.uint8)))
    image.putpalette(palette.class_colors(num_classes).tobytes())
    return _data_uri(_reduced(image, longest_side), "PNG", optimize=True)


def difference(picture: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> str:
    """Shows where a prediction is wrong: red on the paled picture.

    Args:
      picture: uint8 [height, width, 3].
      truth: uint8 [height, width]; pixels that don't count are never wrong.
      predicted: uint8 [height, width].

    Returns:
      A data URI.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)[..., np.newaxis]
    wrong = (truth != predicted) & (truth != schema.IGNORE_INDEX)
    shown = np.where(wrong[..., np.newaxis], _DIFFERENCE, 100 + grey * 0.6)
    return photograph(shown.round().astype(np.uint8))


def png(content: np.ndarray, longest_side: int = 256) -> str:
    """Encodes a drawing, such as a coloured mask, without loss.

    Args:
      content: uint8 [height, width, 3].
      longest_side: in pixels; a larger drawing is reduced.

    Returns:
      A data URI.
    """
    return _data_uri(_reduced(Image.fromarray(content), longest_side), "PNG", optimize=True)


def _thickened(image: Image.Image) -> Image.Image:
    """A strip of but a few pixels, repeated until it can be seen beside its length."""
    least = -(-max(image.size) // _MOST_OBLONG)
    if min(image.size) >= least:
        return image
    return image.resize([max(side, least) for side in image.size], Image.Resampling.NEAREST)


def _reduced(image: Image.Image, longest_side: int) -> Image.Image:
    """Without mixing colours."""
    scale = longest_side / max(image.size)
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.size]
    return image.resize(size, Image.Resampling.NEAREST)


def _data_uri(image: Image.Image, kind: str, **options: int | bool) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
