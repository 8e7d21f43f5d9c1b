"""Masks as pictures: with a palette, and laid over the photograph."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image

from components.common import palette

OPACITY = 0.5


def mask_image(mask: np.ndarray, num_classes: int) -> Image.Image:
    """A mask as a palette picture: its values are class indices, its colours the classes'.

    Args:
      mask: uint8 [height, width].
      num_classes: for the palette.
    """
    image = Image.fromarray(mask)
    image.putpalette(palette.class_colors(num_classes).tobytes())
    return image


def overlay_image(
    picture: Image.Image,
    mask: np.ndarray,
    num_classes: int,
    shown: Collection[int] | None = None,
    opacity: float = OPACITY,
) -> Image.Image:
    """Lays a mask's colours over its picture.

    Args:
      picture: RGB, of the mask's size.
      mask: uint8 [height, width].
      num_classes: for the palette.
      shown: class indices whose pixels are coloured; None: all.
      opacity: of the colours, 0 to 1.

    Returns:
      RGB; blended to within one of 255 levels.
    """
    colored = range(num_classes) if shown is None else shown
    weights = [round(255 * opacity) if value in colored else 0 for value in range(256)]
    weight = Image.fromarray(mask).point(weights)
    # In Pillow's own loops: in NumPy it cost more than decoding and encoding together.
    return Image.composite(mask_image(mask, num_classes).convert("RGB"), picture, weight)
