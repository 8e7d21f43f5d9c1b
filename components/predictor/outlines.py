"""The outline of an object: polygons along its pixels' edges that are valid ones.

Pixels that touch at a corner only are one object, but no one polygon can go around both and be
valid; GDAL's polygonizing with 8-connectedness gives such a one (OSGeo/gdal issue 7369). Here each
part that hangs together by pixels' sides is a polygon, and an object of several is a MultiPolygon,
whose parts may touch at points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from components.predictor.connected import (
    ROW,
    START,
    STOP,
    ConnectedObject,
    components_of,
    pairs_that_touch,
)

Polygon = list[np.ndarray]  # rings, int64 or float64 [n + 1, 2] of x and y, closed


def outlines(objects: Sequence[ConnectedObject]) -> list[list[Polygon]]:
    """The polygons of objects, by the pixels' corners.

    Args:
      objects: of one mask; many at once, for each call has its price.

    Returns:
      For each object one polygon for each part that hangs together by sides, int64. Of each the
      first ring is the outer one, the others are its holes; none touches itself, nor has a point
      that it does not need. Which way they run is left open (`signed_area`).
    """
    runs = np.concatenate([np.zeros((0, 3), np.int64), *(one.runs for one in objects)])
    owners = np.repeat(np.arange(len(objects)), [len(one.runs) for one in objects])
    order = np.lexsort((runs[:, START], runs[:, ROW]))
    runs, owners = runs[order], owners[order]
    upper, lower = pairs_that_touch(runs, corners=False)
    own = owners[upper] == owners[lower]
    number, parts = components_of(len(runs), upper[own], lower[own])
    corners = _corners(runs, parts)
    points, doubled = corners[:, 1:3], corners[:, 3] > 0
    rings: list[list[np.ndarray]] = [[] for _ in range(number)]
    for ring in _rings(corners):
        found = _split(points[ring]) if doubled[ring].any() else [points[ring]]
        rings[corners[ring[0], 0]] += [np.concatenate([one, one[:1]]) for one in found]
    result: list[list[Polygon]] = [[] for _ in objects]
    _, first = np.unique(parts, return_index=True)
    for owner, polygon in zip(owners[first].tolist(), rings, strict=True):
        # A part hangs together, so that one of its rings has all others in it.
        result[owner].append(sorted(polygon, key=lambda ring: -abs(signed_area(ring))))
    return result


def signed_area(ring: np.ndarray) -> float:
    """Area of a closed ring, [n + 1, 2]; above 0 where it runs as x does towards y."""
    x, y = (ring - ring[0]).T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _corners(runs: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Where the outlines turn: int64 [n, 4] of part, x, y and place, sorted by part, y and x.

    Where two pixels of a part touch at a corner only, that comes twice, for each pixel. The place
    is 0 for all others; of these 1 for the upper pixel's and 2 for the lower one's.
    """
    ends = np.concatenate([runs[:, START], runs[:, STOP]])
    rows, part = np.tile(runs[:, ROW], 2), np.tile(parts, 2)
    is_stop = np.repeat([0, 1], len(runs))
    # On each line first the ends of the runs above it, then of those below: sorting keeps that.
    sides = [np.stack([part, ends, rows + one, is_stop], axis=1) for one in (1, 0)]
    points = np.concatenate(sides)
    points = points[np.lexsort((points[:, 1], points[:, 2], points[:, 0]))]
    (upper,) = np.nonzero((points[1:, :3] == points[:-1, :3]).all(axis=1))
    goes_on = points[upper, 3] == points[upper + 1, 3]
    place = np.zeros(len(points), np.int64)
    place[upper], place[upper + 1] = 1, 2
    # From left to right: the upper one is first where its run ends there.
    kept = np.ones(len(points), bool)
    kept[upper[goes_on]] = kept[upper[goes_on] + 1] = False
    turned = upper[points[upper, 3] == 0]
    place[turned], place[turned + 1] = 2, 1
    points[:, 3] = place
    return points[kept]


def _rings(corners: np.ndarray) -> Iterator[list[int]]:
    """Follows the outlines: indices of the corners of one after the other."""
    # Sides lie between the first and second, the third and fourth corner of a line.
    by_column = np.lexsort((corners[:, 3], corners[:, 2], corners[:, 1], corners[:, 0]))
    position = np.empty_like(by_column)
    position[by_column] = np.arange(len(by_column))
    above_or_below = by_column[position ^ 1].tolist()
    seen = bytearray(len(corners))
    for begin in range(0, len(corners), 2):
        if seen[begin]:
            continue
        ring, at = [], begin
        while not seen[at]:
            beside = at ^ 1
            seen[at] = seen[beside] = 1
            ring += [at, beside]
            at = above_or_below[beside]
        yield ring


def _split(ring: np.ndarray) -> list[np.ndarray]:
    """Cuts an outline where it comes to a point again, so that what it goes around is a hole."""
    found = []
    way: list[tuple[int, int]] = []
    index: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        if (x, y) in index:
            begin = index[x, y]
            found.append(np.array(way[begin:]))
            for point in way[begin + 1 :]:
                del index[point]
            del way[begin + 1 :]
        else:
            index[x, y] = len(way)
            way.append((x, y))
    return [*found, np.array(way)]
