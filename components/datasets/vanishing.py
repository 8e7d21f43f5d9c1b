"""Things that a mask no longer shows when it is made smaller."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.ndimage

SIZES = (128, 256, 512, 1024)  # sides of the squares that a model may see
_MOST_PIXELS = 25_000_000  # of a mask that is looked into
_MOST_VALUES = 64
_WORTH_TELLING = 0.02  # share of a class's things
Size = int | tuple[int, int]  # side of a square, or height and width


@dataclasses.dataclass
class Objects:
    """The things of one value.

    Attributes:
      count: how many there are: pieces that hang together.
      lost: size that a model sees -> how many of them it does not show.
    """

    count: int = 0
    lost: dict[Size, int] = dataclasses.field(default_factory=dict)

    def share(self, size: Size) -> float:
        """Share of the things that are lost."""
        return self.lost[size] / self.count if self.count else 0.0


def count(values: np.ndarray, objects: dict[int, Objects], sizes: Sequence[Size] = SIZES) -> None:
    """Counts a mask's things, and those that nearest-neighbour resizing loses.

    Args:
      values: [height, width].
      objects: value -> its things, added to; the most common value is what they lie on.
      sizes: that a model may see.
    """
    if values.size > _MOST_PIXELS:
        return
    found, counts = np.unique(values, return_counts=True)
    ground = found[counts.argmax()]
    for value in found[:_MOST_VALUES]:
        if value == ground:
            continue
        pieces, number = scipy.ndimage.label(values == value)
        told = objects.setdefault(int(value), Objects())
        told.count += number
        for size in sizes:
            sides = (size, size) if isinstance(size, int) else size
            places = [np.unique(sampled(*one)) for one in zip(values.shape, sides, strict=True)]
            kept = np.bincount(pieces[np.ix_(*places)].ravel(), minlength=number + 1)[1:]
            lost = number - int(np.count_nonzero(kept))
            told.lost[size] = told.lost.get(size, 0) + lost


def told(things: Mapping[str, Objects], size: Size) -> list[str]:
    """Classes of whose things a model's picture would not show some, in words.

    Args:
      things: class name -> its things.
      size: that the model sees.
    """
    lines = []
    sides = (size, size) if isinstance(size, int) else size
    for name, objects in things.items():
        if not objects.count or objects.share(size) <= _WORTH_TELLING:
            continue
        better = next(
            (
                one
                for one in SIZES
                if one > min(sides) and one in objects.lost and objects.share(one) <= _WORTH_TELLING
            ),
            None,
        )
        hint = f"; at {better}x{better} {objects.share(better):.0%} would" if better else ""
        lines.append(
            f"{objects.share(size):.0%} of the {objects.count} things of class {name} vanish at "
            f"{sides[0]}x{sides[1]} (transform.image_size){hint}"
        )
    return lines


def sampled(length: int, side: int) -> np.ndarray:
    """The rows or columns that TensorFlow's nearest-neighbour resizing takes."""
    places = np.floor((np.arange(side, dtype=np.float32) + 0.5) * np.float32(length / side))
    return np.minimum(places.astype(np.int64), length - 1)
