"""Where the pixels of a raster are on the earth: longitudes, latitudes, square metres."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.predictor.antimeridian import crosses, cut
from components.predictor.outlines import Polygon, signed_area

if TYPE_CHECKING:
    import rasterio

_LONGEST = 64  # pixels of a side: what is straight in a raster is not so in degrees
_BENT = 0.1  # pixels by which it may be off
_DISTORTED = 0.01  # share by which a projection's square metres may be off
_FRACTION = 200  # of a pixel, to which coordinates are rounded
_EARTH = 6_371_000  # its radius in metres
_DEGREE = _EARTH * math.pi / 180


class Placement:
    """Brings polygons of pixels to longitude and latitude (WGS 84).

    Args:
      source: an open raster that has a coordinate system and a place in it.

    Raises:
      OSError: its coordinate system is none of the earth.
    """

    def __init__(self, source: rasterio.DatasetReader) -> None:
        from rasterio.crs import CRS
        from rasterio.transform import GCPTransformer

        points, system = source.gcps
        self._by_points = GCPTransformer(points) if points else None
        self._transform = source.transform
        self._system: CRS = system if points else source.crs
        # RFC 7946's coordinate system, in its order: longitude, latitude.
        self._degrees = CRS.from_user_input("OGC:CRS84")
        self._equal_area = CRS.from_user_input("+proj=cea +datum=WGS84")
        middle = np.array([[source.width / 2, source.height / 2]])
        try:
            ((_, latitude),) = self._warped(self._located(middle))
        except OSError as error:
            raise OSError("its coordinate system has no longitude and latitude") from error
        pixel = middle + [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        on_earth = self._on_earth([[self._warped(self._located(pixel))]])
        self._flat: float | None = None  # square metres of a pixel, where they hold
        if self._system.is_projected and self._by_points is None:
            _, metres = self._system.linear_units_factor
            flat = abs(self._transform.determinant) * metres**2
            self._flat = flat if abs(flat / on_earth - 1) < _DISTORTED else None
        side = math.sqrt(on_earth)
        self._decimals = max(0, math.ceil(math.log10(_FRACTION * _DEGREE / side)))
        # A parallel's distance from the straight line between two of its points.
        steep = math.tan(math.radians(min(abs(latitude), 89.999))) + 1e-6
        straight = math.sqrt(8 * _EARTH * _BENT / side / steep)
        self._longest = min(_LONGEST, max(1, int(straight)))

    def geometries(
        self, objects: Sequence[Sequence[Polygon]]
    ) -> Iterator[tuple[dict[str, Any], float]]:
        """GeoJSON geometries, and their areas.

        Args:
          objects: the polygons of each: rings by x and y in pixels, closed, the outer one first.

        Yields:
          Polygon or MultiPolygon as RFC 7946 wants it, cut where it crosses 180°; and square
          metres: the coordinate system's own where these are what they are called, or else those
          on the ellipsoid.

        Raises:
          OSError: some of them have no longitude and latitude.
        """
        rings = [ring for polygons in objects for polygon in polygons for ring in polygon]
        found = iter(self._in_degrees(rings))
        for polygons in objects:
            degrees = [[next(found) for _ in polygon] for polygon in polygons]
            if any(crosses(ring) for polygon in degrees for ring in polygon):
                degrees = [part for polygon in degrees for part in cut(polygon, self._decimals)]
            if self._flat is None:
                area = self._on_earth(degrees)
            else:
                area = self._flat * sum(map(_area_of, polygons))
            yield geometry_of(degrees, self._decimals), area

    def _in_degrees(self, rings: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All at once: PROJ takes up to 0.1 s to find out how a datum is brought to another."""
        rings = [_with_short_sides(ring, self._longest) for ring in rings]
        points = self._warped(self._located(np.concatenate(rings)))
        return np.split(points, np.cumsum([len(ring) for ring in rings])[:-1])

    def _on_earth(self, degrees: Sequence[Polygon]) -> float:
        """Square metres on the ellipsoid, by a projection that keeps areas."""
        from rasterio.warp import transform

        def flat(ring: np.ndarray) -> np.ndarray:
            return np.stack(transform(self._degrees, self._equal_area, *ring.T.tolist()), axis=1)

        return sum(_area_of([flat(ring) for ring in polygon]) for polygon in degrees)

    def _located(self, points: np.ndarray) -> np.ndarray:
        """Pixels' x and y, [n, 2], in the raster's coordinate system."""
        x, y = points.T
        if self._by_points:
            return np.stack(self._by_points.xy(y, x, offset="ul"), axis=1)
        a, b, c, d, e, f = self._transform[:6]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def _warped(self, points: np.ndarray) -> np.ndarray:
        """The coordinate system's points, [n, 2], in longitude and latitude."""
        from rasterio.warp import transform

        x, y = points.T.tolist()
        try:
            found = np.stack(transform(self._system, self._degrees, x, y), axis=1)
        except Exception as error:  # GDAL's errors are of classes that rasterio keeps for itself
            raise OSError(f"its places can't be told: {error}") from error
        if not np.isfinite(found).all():
            raise OSError("some of its objects are where its coordinate system has no place")
        return found


def geometry_of(polygons: Sequence[Polygon], decimals: int | None = None) -> dict[str, Any]:
    """A GeoJSON geometry: outer rings counterclockwise, holes clockwise.

    Args:
      polygons: closed rings of x and y, the outer one first.
      decimals: to which coordinates are rounded; None: they are whole numbers.
    """
    parts = []
    for polygon in polygons:
        rings = []
        for number, ring in enumerate(polygon):
            is_hole = number > 0
            ring = ring if (signed_area(ring) < 0) == is_hole else ring[::-1]
            rings.append((ring if decimals is None else np.round(ring, decimals)).tolist())
        parts.append(rings)
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _area_of(polygon: Polygon) -> float:
    outer, *holes = (abs(signed_area(ring)) for ring in polygon)
    return outer - sum(holes)


def _with_short_sides(ring: np.ndarray, longest: int) -> np.ndarray:
    """The same ring, with points between those that are far from each other."""
    steps = np.diff(ring, axis=0)
    number = -(-np.abs(steps).max(axis=1) // longest)
    if not (number > 1).any():
        return ring
    first = np.repeat(np.arange(len(steps)), number)
    within = np.arange(len(first)) - np.repeat(np.cumsum(number) - number, number)
    points = ring[first] + steps[first] * (within / number[first])[:, np.newaxis]
    return np.concatenate([points, ring[-1:]])
