"""Colours of the classes, the same in every picture that segline makes."""

from __future__ import annotations

import numpy as np

# Okabe and Ito's palette: told apart with any colour vision (jfly.uni-koeln.de/color).
_COLORS = (
    (230, 159, 0),
    (86, 106, 130),
    (240, 228, 66),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (0, 114, 178),
)
IGNORED_COLOR = (0, 0, 0)


def class_colors(num_classes: int) -> np.ndarray:
    """Colours by class index; many classes go on with evenly spread hues.

    Args:
      num_classes: how many.

    Returns:
      uint8 [256, 3]; entries that are no class are black.
    """
    palette = np.zeros((256, 3), np.uint8)
    for index in range(min(num_classes, 255)):
        if index < len(_COLORS):
            palette[index] = _COLORS[index]
        else:
            hue = (index * 0.618034) % 1 * 6  # golden ratio: neighbours differ
            ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
            palette[index] = 60 + 180 * ramp
    return palette
