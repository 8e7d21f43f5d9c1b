"""Things that a mask no longer shows when it is made smaller."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.ndimage

SIZES = (128, 256, 512, 1024)  # sides of the squares that a model may see
_MOST_PIXELS = 25_000_000  # of a mask that is looked into
_MOST_VALUES = 64


@dataclasses.dataclass
class Objects:
    """The things of one value.

    Attributes:
      count: how many there are: pieces that hang together.
      lost: side of the square that a model sees -> how many of them it does not show.
    """

    count: int = 0
    lost: dict[int, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(SIZES, 0))

    def share(self, side: int) -> float:
        """Share of the things that are lost."""
        return self.lost[side] / self.count if self.count else 0.0


def count(values: np.ndarray, objects: dict[int, Objects]) -> None:
    """Counts a mask's things, and those that nearest-neighbour resizing loses.

    Args:
      values: [height, width].
      objects: value -> its things, added to; the most common value is what they lie on.
    """
    if values.size > _MOST_PIXELS:
        return
    found, counts = np.unique(values, return_counts=True)
    ground = found[counts.argmax()]
    # Each row and column once: a small mask is not looked at as if it were a large one.
    seen = {
        side: np.ix_(*(np.unique(sampled(length, side)) for length in values.shape))
        for side in SIZES
    }
    for value in found[:_MOST_VALUES]:
        if value == ground:
            continue
        pieces, number = scipy.ndimage.label(values == value)
        told = objects.setdefault(int(value), Objects())
        told.count += number
        for side in SIZES:
            kept = np.unique(pieces[seen[side]])
            told.lost[side] += number - int(np.count_nonzero(kept))


def sampled(length: int, side: int) -> np.ndarray:
    """The rows or columns that TensorFlow's nearest-neighbour resizing takes."""
    places = np.floor((np.arange(side, dtype=np.float32) + 0.5) * np.float32(length / side))
    return np.minimum(places.astype(np.int64), length - 1)
