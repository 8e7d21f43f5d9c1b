"""Masks as COCO's polygons, which have no holes: a cut leads to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from components.predictor.connected import find_connected
from components.predictor.outlines import Polygon, outlines

_END = -1  # of a list of what comes next


def polygons_of(
    mask: np.ndarray, class_indices: Sequence[int]
) -> Iterator[tuple[int, int, list[list[float]]]]:
    """The connected objects of some classes.

    Args:
      mask: uint8 [height, width] of class indices.
      class_indices: of the classes.

    Yields:
      Class index, area in pixels, and polygons [x, y, x, y, …] by the pixels' corners, of each;
      drawn, they are exactly its pixels.
    """
    objects = list(find_connected([mask], class_indices))
    for found, parts in zip(objects, outlines(objects), strict=True):
        flat = [_cut_open(part).ravel().astype(float).tolist() for part in parts]
        yield found.class_index, found.area, flat


def _cut_open(polygon: Polygon) -> np.ndarray:
    """One ring, [n, 2], that goes around the outline and into each hole and back.

    From the upper end of a hole's left side a cut leads left, along a row of the object's pixels,
    to the ring that they end at, which begins farther left: so no holes hang on each other in a
    circle. Both ways along a cut cancel out: nothing is drawn there. Holes run against the outline,
    so that they are holes to whoever fills by winding numbers too.
    """
    points, begins = _turned(polygon)
    if len(polygon) == 1:
        return points
    count, holes = len(points), np.arange(len(polygon) - 1)
    inner = begins[1:]
    at, cut = _left_of(points, begins, inner)
    # What comes behind what: the rings' points, and for each hole the cut's end on the way there,
    # the hole's begin again, and the cut's end on the way back.
    points = np.concatenate([points, cut, points[inner], cut])
    there, again, back = (count + len(holes) * part + holes for part in range(3))
    following = np.arange(1, len(points) + 1)
    following[np.append(inner, count) - 1] = np.append(_END, again)  # behind each ring's last point
    following[there], following[again] = inner, back
    # Where several cuts end at one side, the way along it comes to them one after the other.
    along = np.abs(cut[:, 1] - points[at, 1])
    order = np.lexsort((along, at))
    side, there, back = at[order], there[order], back[order]
    is_next = np.append(side[1:] == side[:-1], False)
    following[back] = np.where(is_next, np.roll(there, -1), following[side])
    is_first = np.append(True, ~is_next[:-1])
    following[side[is_first]] = there[is_first]
    way, steps, step = [], following.tolist(), 0
    while step != _END:
        way.append(step)
        step = steps[step]
    ring = points[way]
    return ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]  # a cut may end at a corner


def _turned(polygon: Polygon) -> tuple[np.ndarray, np.ndarray]:
    """The rings' points, [n, 2], one ring behind the other, and the index that each begins at.

    Each begins at the upper end of its left side, and is open; the outline runs to the right from
    there, holes run down.
    """
    sizes = np.array([len(ring) - 1 for ring in polygon])
    begins = np.cumsum(sizes) - sizes
    points = np.concatenate([ring[:-1] for ring in polygon])
    owner = np.repeat(np.arange(len(polygon)), sizes)
    corner = np.lexsort((points[:, 1], points[:, 0], owner))[begins] - begins
    after = points[begins + (corner + 1) % sizes]
    runs_down = after[:, 0] == points[begins + corner, 0]
    is_hole = np.arange(len(polygon)) > 0
    direction = np.where(runs_down == is_hole, 1, -1)
    steps = np.arange(len(points)) - begins[owner]
    return points[begins[owner] + (corner[owner] + direction[owner] * steps) % sizes[owner]], begins


def _left_of(
    points: np.ndarray, begins: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The next side to the left of some points, in the row of pixels below them.

    Args:
      points: int [n, 2], rings one behind the other.
      begins: index that each ring begins at.
      wanted: int [m], indices of points.

    Returns:
      int [m], the index of the point that the side begins at, and int [m, 2], where it is met.
    """
    after = np.arange(1, len(points) + 1)
    after[np.append(begins[1:], len(points)) - 1] = begins
    (sides,) = np.nonzero(points[after, 0] == points[:, 0])
    tops = np.minimum(points[sides, 1], points[after[sides], 1])
    heights = np.abs(points[after[sides], 1] - points[sides, 1])
    # Of each side its part in each row, and these by row and place.
    part = np.repeat(np.arange(len(sides)), heights)
    rows = tops[part] + np.arange(len(part)) - (np.cumsum(heights) - heights)[part]
    width = points[:, 0].max() + 1
    places = rows * width + points[sides[part], 0]
    order = np.argsort(places)
    column, row = points[wanted].T
    met = sides[part[order[np.searchsorted(places[order], row * width + column) - 1]]]
    return met, np.stack([points[met, 0], row], axis=1)
