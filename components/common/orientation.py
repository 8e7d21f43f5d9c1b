"""EXIF's orientation, which TIFF has too: how stored pixels are to be turned."""

from __future__ import annotations

import numpy as np

TAG = 0x0112
UPRIGHT = (0, 1)  # those that need no turning
LYING = (5, 6, 7, 8)  # those by which height becomes width
_BACK = {6: 8, 8: 6}  # what undoes one; the others undo themselves


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as EXIF's orientation says that they are to be shown.

    Args:
      pixels: [height, width, …] as they are stored.
      orientation: 1 to 8; others turn nothing.
    """
    if orientation in LYING:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def turned_back(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as they are stored, of what `turned` makes of them."""
    return turned(pixels, _BACK.get(orientation, orientation))
