"""Polygons and run lengths become pixels, and things with values become a mask."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from pycocotools import mask as coco_mask

_TINY = 2  # pixels: a shape that is no longer in either direction was a click too many


class ShapeError(Exception):
    """A shape can't be drawn; the message says why."""


@dataclasses.dataclass(frozen=True)
class Thing:
    """What an annotation says: these pixels have this value.

    Attributes:
      value: of the mask.
      pixels: bool [height, width].
      below: whether it lies below all others, whatever its area.
    """

    value: int
    pixels: np.ndarray
    below: bool = False


def draw(things: Iterable[Thing], height: int, width: int) -> np.ndarray:
    """A mask, 0 where there is nothing; larger things first, so that none is hidden.

    Returns:
      int32 [height, width].
    """
    values = np.zeros((height, width), np.int32)
    for thing in sorted(things, key=lambda one: (not one.below, -int(one.pixels.sum()))):
        values[thing.pixels] = thing.value
    return values


def polygons(shape: Sequence, height: int, width: int) -> np.ndarray | None:
    """What polygons cover, united.

    Args:
      shape: polygons, each [x, y, x, y, …] in pixels.
      height: of the picture.
      width: of the picture.

    Returns:
      bool [height, width]; None: nothing but points and lines too small to be meant.

    Raises:
      ShapeError: a polygon has no three points, or does not fit the picture.
    """
    drawn = []
    for polygon in _unnested(shape):
        try:
            numbers = np.asarray(polygon, np.float64)
        except (ValueError, TypeError) as error:
            raise ShapeError("a polygon has something that is no number") from error
        if numbers.ndim != 1 or numbers.size % 2:
            raise ShapeError("a polygon needs pairs of numbers, as [x, y, x, y, …]")
        if not np.isfinite(numbers).all():
            raise ShapeError("a polygon has a number that is none (NaN or infinite)")
        if np.abs(numbers).max(initial=0) > 10 * max(height, width):
            raise ShapeError("a polygon lies far outside the picture")
        points = np.unique(numbers.reshape(-1, 2), axis=0)
        if len(points) < 3:
            if points.size and np.ptp(points, axis=0).max() > _TINY:
                raise ShapeError(
                    f"a polygon needs three points or more, as [x, y, x, y, …]; this one has "
                    f"{len(points)}"
                )
            continue
        drawn.append(numbers.tolist())
    if not drawn:
        return None
    runs = coco_mask.merge(coco_mask.frPyObjects(drawn, height, width))
    return coco_mask.decode(runs).astype(bool)


def _unnested(shape: Sequence) -> Sequence:
    """Polygons as [x, y, x, y, …], where a tool nests them once less or once more."""
    if shape and not any(isinstance(one, (list, tuple)) for one in shape):
        return [shape]
    if len(shape) > 2 and all(_is_point(one) for one in shape):
        return [[number for point in shape for number in point]]
    return [
        [number for point in polygon for number in point]
        if isinstance(polygon, (list, tuple)) and polygon and all(map(_is_point, polygon))
        else polygon
        for polygon in shape
    ]


def _is_point(one: object) -> bool:
    return (
        isinstance(one, (list, tuple))
        and len(one) == 2
        and not any(isinstance(number, (list, tuple)) for number in one)
    )


def is_click(polygon: Sequence) -> bool:
    """Whether a polygon is too small to be meant: `polygons` passes it over."""
    try:
        points = np.unique(np.asarray(polygon, np.float64).reshape(-1, 2), axis=0)
    except (ValueError, TypeError):
        return False
    return 0 < len(points) < 3 and np.ptp(points, axis=0).max() <= _TINY


def box(corner_and_size: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """What a box covers: bool [height, width].

    Args:
      corner_and_size: left, top, width and height, in pixels.
      size: height and width of the picture.

    Raises:
      ShapeError: it is none.
    """
    try:
        left, top, wide, high = numbers = [float(one) for one in corner_and_size]
    except (TypeError, ValueError) as error:
        raise ShapeError("its box is not of four numbers") from error
    if not np.isfinite(numbers).all() or wide <= 0 or high <= 0:
        raise ShapeError("its box is empty")
    pixels = np.zeros(size, bool)
    # Halves go up, not to the even number: a box keeps its size wherever it lies.
    ends = [max(0, math.floor(one + 0.5)) for one in (top, top + high, left, left + wide)]
    pixels[ends[0] : ends[1], ends[2] : ends[3]] = True
    return pixels


def coco_runs(shape: dict, height: int, width: int) -> np.ndarray:
    """What COCO's run lengths cover, plain or compressed: bool [height, width].

    Raises:
      ShapeError: they are none, or are for another size.
    """
    if list(shape.get("size", ())) != [height, width]:
        raise ShapeError(
            f"its segmentation is neither polygons nor run lengths of {width}x{height}"
        )
    counts = shape.get("counts")
    if isinstance(counts, list):
        if any(not isinstance(one, int) or one < 0 for one in counts):
            raise ShapeError("a run length is no whole number")
        if sum(counts) != height * width:
            raise ShapeError(f"the run lengths make {sum(counts)} pixels, not {height * width}")
        runs = coco_mask.frPyObjects(shape, height, width)
    else:
        text = counts.encode() if isinstance(counts, str) else b""
        if _run_total(text) != height * width:
            raise ShapeError("the run lengths don't make the picture's pixels")
        runs = {"size": [height, width], "counts": text}
    return coco_mask.decode(runs).astype(bool)


def _run_total(text: bytes) -> int:
    """Number of pixels that COCO's compressed run lengths make; -1: they are none.

    Five bits a character, the sixth says that more follow; from the third run on, what is
    stored is the difference to the run before the last (`rleFrString` in maskApi.c).
    """
    runs: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            if at >= len(text) or not 48 <= text[at] < 112 or shift > 30:
                return -1
            character = text[at] - 48
            value |= (character & 0x1F) << shift
            shift += 5
            more = bool(character & 0x20)
            at += 1
            if not more and character & 0x10:
                value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            return -1
        runs.append(value)
    return sum(runs)


def starts_and_lengths(
    text: str, height: int, width: int, first: int = 1, by_rows: bool = False
) -> np.ndarray:
    """What Kaggle's run lengths cover: pairs of a start, counted down the columns, and a length.

    Args:
      text: the numbers.
      height: of the picture.
      width: of the picture.
      first: the first pixel's number.
      by_rows: whether pixels are counted along the rows.

    Returns:
      bool [height, width].

    Raises:
      ShapeError: they are none, or lie outside the picture.
    """
    try:
        numbers = np.array([int(one) for one in text.replace(",", " ").split()], np.int64)
    except ValueError as error:
        raise ShapeError("a run length is no whole number") from error
    if numbers.size % 2:
        raise ShapeError("the run lengths are not pairs of start and length")
    starts, lengths = numbers[::2] - first, numbers[1::2]
    if (starts < 0).any() or (lengths < 0).any() or (starts + lengths > height * width).any():
        raise ShapeError(f"the run lengths go beyond the {width}x{height} pixels of the picture")
    covered = np.zeros(height * width + 1, np.int64)
    np.add.at(covered, starts, 1)
    np.add.at(covered, starts + lengths, -1)
    pixels = np.cumsum(covered[:-1]) > 0
    return pixels.reshape(height, width) if by_rows else pixels.reshape(width, height).T
