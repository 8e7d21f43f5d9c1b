"""Things that a mask no longer shows when it is made smaller."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.ndimage
import tensorflow as tf

from components.common.picture_fit import Fit, WholeFit, content_box

SIZES = (128, 256, 512, 1024)  # sides of the squares that a model may see
_MOST_PIXELS = 25_000_000  # of a mask that are looked into
_MOST_VALUES = 64
_WORTH_TELLING = 0.02  # share of a class's things
Size = int | tuple[int, int]  # side of a square, or height and width


@dataclasses.dataclass
class Objects:
    """The things of one value.

    Attributes:
      count: how many there are: pieces that hang together.
      lost: size that a model sees, and how pictures are fitted into it -> how many of them
        it does not show.
      pixels: of all of them.
      edges: sides of their pixels that border on another value.
    """

    count: int = 0
    pixels: int = 0
    edges: int = 0
    lost: dict[tuple[Size, WholeFit], int] = dataclasses.field(default_factory=dict)

    def share(self, size: Size, fit: WholeFit = "stretch") -> float:
        """Share of the things that are lost."""
        return self.lost[size, fit] / self.count if self.count else 0.0

    @property
    def thickness(self) -> float:
        """In pixels: how wide a long strip is that has so many edges for its pixels.

        Twice the area by the perimeter: the width of lines, half the side of squares.
        """
        return 2 * self.pixels / self.edges if self.edges else math.inf


def count(
    values: np.ndarray,
    objects: dict[int, Objects],
    sizes: Sequence[Size] = SIZES,
    fits: Sequence[WholeFit] = ("stretch",),
) -> None:
    """Counts a mask's things, and those that nearest-neighbour resizing loses.

    Of a mask of more than 25 megapixels, those of its middle rows.

    Args:
      values: [height, width].
      objects: value -> its things, added to; the most common value is what they lie on.
      sizes: that a model may see.
      fits: how the mask may be fitted into them.
    """
    shape = values.shape
    rows = min(shape[0], max(1, _MOST_PIXELS // shape[1]))
    top = (shape[0] - rows) // 2
    values = values[top : top + rows]
    found, counts = np.unique(values, return_counts=True)
    ground = found[counts.argmax()]
    for value in found[:_MOST_VALUES]:
        if value == ground:
            continue
        here = values == value
        pieces, number = scipy.ndimage.label(here)
        told = objects.setdefault(int(value), Objects())
        told.count += number
        told.pixels += int(here.sum())
        told.edges += sum(int((here[1:] != here[:-1]).sum()) for here in (here, here.T))
        for size, fit in itertools.product(sizes, fits):
            model_size = (size, size) if isinstance(size, int) else size
            box = content_box(tf.constant(shape, tf.int64), model_size, fit)
            sides = box.numpy()[2:].tolist()
            down, across = (np.unique(sampled(*one)) for one in zip(shape, sides, strict=True))
            down = down[(down >= top) & (down < top + rows)] - top
            kept = np.bincount(pieces[np.ix_(down, across)].ravel(), minlength=number + 1)[1:]
            lost = number - int(np.count_nonzero(kept))
            told.lost[size, fit] = told.lost.get((size, fit), 0) + lost


def told(things: Mapping[str, Objects], size: Size, fit: Fit = "stretch") -> list[str]:
    """Classes of whose things a model's picture would not show some, in words.

    Args:
      things: class name -> its things.
      size: that the model sees.
      fit: how pictures are fitted into it. Windows show them at their own resolution: with
        `tiles` there is nothing to tell.
    """
    if fit == "tiles":
        return []
    lines = []
    sides = (size, size) if isinstance(size, int) else size
    for name, objects in things.items():
        if not objects.count or objects.share(size, fit) <= _WORTH_TELLING:
            continue
        better = next(
            (
                one
                for one in SIZES
                if one > min(sides)
                and (one, fit) in objects.lost
                and objects.share(one, fit) <= _WORTH_TELLING
            ),
            None,
        )
        hint = f"; at {better}x{better} {objects.share(better, fit):.0%} would" if better else ""
        lines.append(
            f"{objects.share(size, fit):.0%} of the {objects.count} things of class {name} vanish "
            f"at {sides[0]}x{sides[1]} (transform.image_size){hint}"
        )
    return lines


def sampled(length: int, side: int) -> np.ndarray:
    """The rows or columns that TensorFlow's nearest-neighbour resizing takes."""
    places = np.floor((np.arange(side, dtype=np.float32) + 0.5) * np.float32(length / side))
    return np.minimum(places.astype(np.int64), length - 1)
