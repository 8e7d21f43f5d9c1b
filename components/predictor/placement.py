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
_TURN = 90  # degrees of longitude that a side may go on: beyond 180 it may go either way
_BENT = 0.1  # pixels by which it may be off
_DISTORTED = 0.01  # share by which a projection's square metres may be off
_FRACTION = 200  # of a pixel, to which coordinates are rounded
_EXACT = 12  # decimals of degrees
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
        self._longest = 1
        spots = self._in_degrees([[[ring]] for ring in _pixels_of(source.height, source.width)])
        middle = spots[0]
        if middle is None:
            raise OSError("its coordinate system has no longitude and latitude")
        known = [spot for spot in spots if spot]
        areas = [self._on_earth(_parted(spot, _EXACT)) for spot in known]
        self._flat: float | None = None  # square metres of a pixel, where they hold everywhere
        if self._system.is_projected and self._by_points is None and len(known) == len(spots):
            _, metres = self._system.linear_units_factor
            flat = abs(self._transform.determinant) * metres**2
            holds = all(abs(area - flat) < _DISTORTED * flat for area in areas)
            self._flat = flat if holds else None
        smallest, largest = (math.sqrt(one) for one in (min(filter(None, areas)), max(areas)))
        self._decimals = max(0, math.ceil(math.log10(_FRACTION * _DEGREE / smallest)))
        # A parallel's distance from the straight line between two of its points.
        latitude = middle[0][0][:, 1].mean()
        steep = math.tan(math.radians(min(abs(latitude), 89.999))) + 1e-6
        straight = math.sqrt(8 * _EARTH * _BENT / largest / steep)
        widest = max(_width(ring) for (polygon,) in known for ring in polygon)
        self._longest = max(1, int(min(_LONGEST, straight, _TURN / widest)))

    def geometries(
        self, objects: Sequence[Sequence[Polygon]]
    ) -> Iterator[tuple[dict[str, Any], float] | None]:
        """GeoJSON geometries, and their areas.

        Args:
          objects: the polygons of each: rings by x and y in pixels, closed, the outer one first.

        Yields:
          Polygon or MultiPolygon as RFC 7946 wants it, cut where it crosses 180°; and square
          metres: the coordinate system's own where these are what they are called, or else those
          on the ellipsoid. None: some of it has no longitude and latitude.
        """
        for polygons, degrees in zip(objects, self._in_degrees(objects), strict=True):
            if degrees is None:
                yield None
                continue
            degrees = _parted(degrees, self._decimals)
            if self._flat is None:
                area = self._on_earth(degrees)
            else:
                area = self._flat * sum(map(_area_of, polygons))
            yield geometry_of(degrees, self._decimals), area

    def _in_degrees(self, objects: Sequence[Sequence[Polygon]]) -> list[list[Polygon] | None]:
        """Their polygons in longitude and latitude; None: some of one's points have none.

        All at once: PROJ takes up to 0.1 s to find out how a datum is brought to another. It
        does not say which points it can't bring, so that these are looked for by halves.
        """
        rings = [
            _with_short_sides(ring, self._longest)
            for polygons in objects
            for polygon in polygons
            for ring in polygon
        ]
        try:
            points = self._warped(self._located(np.concatenate(rings)))
        except OSError:
            if len(objects) == 1:
                return [None]
            half = len(objects) // 2
            return self._in_degrees(objects[:half]) + self._in_degrees(objects[half:])
        found = iter(np.split(points, np.cumsum([len(ring) for ring in rings])[:-1]))
        return [[[next(found) for _ in polygon] for polygon in polygons] for polygons in objects]

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
            raise OSError("its coordinate system has no place there")
        # Grids whose pixels have their middles on whole degrees go half a one beyond the poles.
        return np.clip(found, (-np.inf, -90), (np.inf, 90))


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


def _parted(polygons: list[Polygon], decimals: int) -> list[Polygon]:
    """In parts where they cross 180° of longitude."""
    if any(crosses(ring) for polygon in polygons for ring in polygon):
        return [part for polygon in polygons for part in cut(polygon, decimals)]
    return polygons


def _pixels_of(height: int, width: int) -> list[np.ndarray]:
    """Outlines of the pixels in the middle, at the corners and at the middles of the edges."""
    pixel = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    spots = [(x, y) for y in (0.5, 0, 1) for x in (0.5, 0, 1)]
    return [pixel + (x * (width - 1), y * (height - 1)) for x, y in spots]


def _width(ring: np.ndarray) -> float:
    """Degrees of longitude from its westernmost to its easternmost point."""
    return float(np.ptp(np.unwrap(ring[:, 0], period=360)))


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
