"""Where GeoTIFFs lie, by their tags: whether a picture and its mask lie over each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile

_ENDINGS = (".tif", ".tiff")
# TIFF's tags of the GeoTIFF standard (OGC 19-008r4).
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION = 33550, 33922, 34264
_DIRECTORY, _DOUBLES, _TEXTS = 34735, 34736, 34737
# Its keys.
_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_CITATIONS = (1026, 2049, 3073, 4097)  # words for people
_POINTS = 2  # of `_RASTER`: a place is that of a pixel's centre
_CODE_OF = {1: _PROJECTED, 2: _GEOGRAPHIC}  # by `_MODEL`
_OWN = 32767  # of a code: by its parameters
_HALF = 0.5 + 1e-3  # of a pixel, and how exactly it is told


@dataclasses.dataclass(frozen=True)
class RasterPlace:
    """Where a raster lies.

    Attributes:
      size: width and height, in pixels.
      matrix: float64 [2, 3]: from a pixel's column and row (its upper left corner, and 1) to the
        coordinate system's.
      code: EPSG's, of the coordinate system; None: it has no code, or there is none.
      keys: all that describes the coordinate system; empty: nothing does.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    code: int | None
    keys: Mapping[int, Any]

    @property
    def system(self) -> str:
        """The coordinate system, in words."""
        return f"EPSG:{self.code}" if self.code else "a projection without a code"


def place_of(path: str) -> RasterPlace | None:
    """Where a raster lies; by its header.

    Args:
      path: of a file of any kind.

    Returns:
      None: it is no TIFF, says nothing of a place, or only by control points.
    """
    if not path.lower().endswith(_ENDINGS):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            tags = {code: tag.value for code in _TAGS if (tag := page.tags.get(code))}
            size = page.imagewidth, page.imagelength
        keys = _keys(tags)
        matrix = _matrix(tags, keys.get(_RASTER) == _POINTS)
    except Exception:  # of all kinds on damaged files: who reads the pixels tells it
        return None
    if matrix is None:
        return None
    code = keys.get(_CODE_OF.get(keys.get(_MODEL, 0), 0))
    left_out = {_RASTER, *_CITATIONS}
    described = {key: value for key, value in keys.items() if key not in left_out}
    return RasterPlace(size, matrix, None if code == _OWN else code, described)


def difference(picture: RasterPlace, mask: RasterPlace, whole: bool) -> str:
    """How a mask's place is another than its picture's.

    Args:
      picture: its place.
      mask: its place.
      whole: compare where all of each lies: the mask has another resolution. Otherwise pixel
        by pixel, so that it may be cut.

    Returns:
      In words, for a message; empty: the two lie over each other to half a pixel, as far as
      their tags tell.
    """
    if _differ(picture, mask):
        if picture.system == mask.system:
            return "their projections differ"
        return f"the picture is in {picture.system}, the mask in {mask.system}"
    one, other = picture.size, mask.size if whole else picture.size
    to_picture = np.linalg.inv(np.vstack([picture.matrix, (0, 0, 1)]))
    places = np.array([mask.matrix @ _corner(other, at) for at in _CORNERS])
    found = np.array([(to_picture @ (*place, 1))[:2] for place in places])
    off = found - [_corner(one, at)[:2] for at in _CORNERS]
    # Half of the larger pixel: a coarser mask is told no finer.
    larger = max(1.0, one[0] / other[0], one[1] / other[1])
    if np.abs(off).max() <= _HALF * larger:
        return ""
    worst = off[np.abs(off).max(axis=1).argmax()]
    right, down = (float(round(value, 1)) for value in worst)
    return f"the mask is off by {right:g} pixels to the right and {down:g} downwards"


_TAGS = (_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _DIRECTORY, _DOUBLES, _TEXTS)
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def _corner(size: tuple[int, int], at: tuple[int, int]) -> tuple[int, int, int]:
    return size[0] * at[0], size[1] * at[1], 1


def _keys(tags: Mapping[int, Any]) -> dict[int, Any]:
    """The GeoTIFF keys: numbers, texts, and tuples of floats."""
    directory = np.asarray(tags.get(_DIRECTORY, ()), np.int64)[4:].reshape(-1, 4)
    doubles, texts = tags.get(_DOUBLES, ()), tags.get(_TEXTS, "")
    doubles = doubles if isinstance(doubles, tuple) else (doubles,)
    found: dict[int, Any] = {}
    for key, place, count, value in directory.tolist():
        if place == _DOUBLES:
            found[key] = tuple(doubles[value : value + count])
        elif place == _TEXTS:
            found[key] = texts[value : value + count]
        else:
            found[key] = value
    return found


def _matrix(tags: Mapping[int, Any], of_centres: bool) -> np.ndarray | None:
    if _TRANSFORMATION in tags:
        whole = np.reshape(tags[_TRANSFORMATION], (4, 4))
        matrix = whole[:2, [0, 1, 3]].astype(np.float64)
    elif _PIXEL_SCALE in tags and len(tags.get(_TIE_POINTS, ())) >= 6:
        width, height = tags[_PIXEL_SCALE][:2]
        column, row, _, x, y, _ = tags[_TIE_POINTS][:6]
        matrix = np.array([[width, 0, x - column * width], [0, -height, y + row * height]])
    else:
        return None
    if of_centres:
        matrix[:, 2] -= (matrix[:, 0] + matrix[:, 1]) / 2
    return matrix


def _differ(one: RasterPlace, other: RasterPlace) -> bool:
    """Whether two coordinate systems are surely not the same one."""
    if one.code and other.code:
        return one.code != other.code
    if one.code or other.code:  # one by its code, one by its parameters: tags can't tell
        return False
    shared = one.keys.keys() & other.keys.keys()
    return any(not _alike(one.keys[key], other.keys[key]) for key in shared)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        pairs = zip(one, other, strict=False)
        return all(math.isclose(*pair, rel_tol=1e-9, abs_tol=1e-9) for pair in pairs)
    return one == other
