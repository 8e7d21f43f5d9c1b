"""Polygons that lie across 180° of longitude, or around a pole, as RFC 7946 wants them: cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from components.predictor.outlines import Polygon

if TYPE_CHECKING:
    import shapely


def crosses(ring: np.ndarray) -> bool:
    """Whether a ring of longitudes and latitudes, [n, 2], goes beyond 180° or jumps there."""
    longitudes = ring[:, 0]
    return bool(np.abs(longitudes).max() > 180 or np.abs(np.diff(longitudes)).max() > 180)


def cut(polygon: Polygon, decimals: int) -> list[Polygon]:
    """What a polygon is between -180° and 180°.

    Args:
      polygon: closed rings of longitude and latitude, float64 [n, 2], the outer one first;
        neighbouring points are less than 180° apart.
      decimals: to which coordinates are rounded: what would be no polygon then is left out.

    Returns:
      Its parts, likewise.
    """
    import shapely

    outer, *holes = (_between(ring) for ring in polygon)
    found = shapely.difference(outer, shapely.union_all(holes))
    found = shapely.set_precision(found, 10.0**-decimals)
    return [
        [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
        for part in shapely.get_parts(found)
        if part.geom_type == "Polygon" and part.area > 0
    ]


def _between(ring: np.ndarray) -> shapely.Geometry:
    """What a ring is around, between -180° and 180°."""
    import shapely

    longitudes = np.unwrap(ring[:, 0], period=360)
    points = np.stack([longitudes, ring[:, 1]], axis=1)
    if abs(longitudes[-1] - longitudes[0]) > 180:  # around a pole, which then belongs to it
        pole = np.copysign(90, ring[:, 1].mean())
        ends = [(longitudes[-1], pole), (longitudes[0], pole)]
        points = np.concatenate([points, ends, points[:1]])
    whole = shapely.make_valid(shapely.Polygon(points))
    first, last = np.floor((longitudes.min() + 180) / 360), np.floor((longitudes.max() + 180) / 360)
    turns = [
        shapely.transform(
            shapely.intersection(whole, shapely.box(turn - 180, -90, turn + 180, 90)),
            lambda points, turn=turn: points - (turn, 0),
        )
        for turn in np.arange(first, last + 1) * 360
    ]
    return shapely.union_all(turns)
