"""Masks as COCO's polygons, which have no holes: a cut leads from the outline to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from components.predictor.connected import find_connected
from components.predictor.outlines import Polygon, outlines, signed_area


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

    Both ways along a cut cancel out: nothing is drawn there. Holes run against the outline, so
    that they are holes to whoever fills by winding numbers too.
    """
    ring = _turned(polygon[0], True)[:-1]
    for hole in sorted(polygon[1:], key=lambda one: one[:, 0].min()):
        inner = _turned(hole, False)[:-1]
        apart = np.abs(ring[:, np.newaxis] - inner[np.newaxis]).sum(-1)
        at, begin = np.unravel_index(np.argmin(apart), apart.shape)
        inside = np.roll(inner, -begin, axis=0)
        ring = np.concatenate([ring[: at + 1], inside, inside[:1], ring[at:]])
    return ring


def _turned(ring: np.ndarray, positive: bool) -> np.ndarray:
    return ring if (signed_area(ring) > 0) == positive else ring[::-1]
