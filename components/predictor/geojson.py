"""Objects as GeoJSON: a file for each picture or raster, a feature for each object."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.predictor.connected import ConnectedObject, find_connected
from components.predictor.outlines import outlines
from components.predictor.placement import Placement, geometry_of

if TYPE_CHECKING:
    import rasterio

OBJECTS_ENDING = "_objects.geojson"
_STRIP = 2**21  # pixels that are looked at together
_RUNS = 20_000  # of the objects that are told together: each call has its price
_BLOCK_ROWS = 512  # those that a tile of a mask has, so that each is read once
_PIXELS = "x to the right and y downwards from the upper left corner, in pixels"
_PLACES = "longitude and latitude (WGS 84), in degrees"


def write_picture_objects(
    mask: np.ndarray, class_indices: Sequence[int], class_names: Sequence[str], path: str
) -> Counter[int]:
    """Writes the objects of a picture, in pixels.

    Args:
      mask: uint8 [height, width] of class indices.
      class_indices: of the classes that are looked for.
      class_names: of all classes, by index.
      path: of the file.

    Returns:
      How many there are, by class.

    Raises:
      OSError: it can't be written.
    """
    return _write(find_connected([mask], class_indices), None, class_names, path, [])


def write_raster_objects(
    mask_path: str,
    class_indices: Sequence[int],
    class_names: Sequence[str],
    path: str,
    notes: list[str],
) -> Counter[int]:
    """Writes the objects of a raster, in longitude and latitude where it has a place.

    Memory is that of a strip of the mask, and of the outlines of the objects that are not
    complete there.

    Args:
      mask_path: a raster of class indices.
      class_indices: of the classes that are looked for.
      class_names: of all classes, by index.
      path: of the file.
      notes: where the raster has no place, or an object is left out for it lies where the
        raster's coordinate system has none, this is added.

    Returns:
      How many there are in the file, by class.

    Raises:
      OSError: the mask can't be read, or the file not written.
    """
    import rasterio

    with rasterio.open(mask_path) as mask:
        place = _placement(mask, notes)
        objects = find_connected(_strips(mask), class_indices)
        return _write(objects, place, class_names, path, notes)


def _placement(mask: rasterio.DatasetReader, notes: list[str]) -> Placement | None:
    points, system = mask.gcps
    if points and not system:
        reason = "its control points have no coordinate system"
    elif not points and not mask.crs:
        reason = "it has no coordinate system"
    elif not points and mask.transform.is_identity:
        reason = "it has no place in its coordinate system"
    else:
        try:
            return Placement(mask)
        except OSError as error:
            reason = str(error)
    notes.append(f"{reason}: its objects are in pixels")
    return None


def _strips(mask: rasterio.DatasetReader) -> Iterator[np.ndarray]:
    from rasterio.windows import Window

    at_a_time = max(1, _STRIP // mask.width)
    for top in range(0, mask.height, _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, mask.height - top)
        for start in range(top, top + rows, at_a_time):
            height = min(at_a_time, top + rows - start)
            yield mask.read(1, window=Window(0, start, mask.width, height))


def _write(
    objects: Iterable[ConnectedObject],
    place: Placement | None,
    class_names: Sequence[str],
    path: str,
    notes: list[str],
) -> Counter[int]:
    counts: Counter[int] = Counter()
    nowhere = 0
    root, ending = os.path.splitext(path)
    part = f"{root}.{uuid.uuid4().hex}{ending}"  # (another run may write here too)
    head = {"type": "FeatureCollection", "description": f"coordinates: {_PLACES}"}
    if place is None:
        head["description"] = f"coordinates: {_PIXELS}"
    try:
        with open(part, "w", encoding="utf-8") as file:
            # One object a line: never all of them in memory.
            file.write(json.dumps(head)[:-1] + ', "features": [')
            for one, geometry, metres in _placed(objects, place):
                if geometry is None:
                    nowhere += 1
                    continue
                feature = _feature(one, geometry, metres, class_names)
                file.write((",\n" if counts else "\n") + json.dumps(feature, ensure_ascii=False))
                counts[one.class_index] += 1
            file.write("\n]}\n")
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
    if nowhere:
        notes.append(f"objects left out, for a part has no longitude and latitude: {nowhere:,}")
    return counts


def _placed(
    objects: Iterable[ConnectedObject], place: Placement | None
) -> Iterator[tuple[ConnectedObject, dict[str, Any] | None, float | None]]:
    """Objects with their geometries, and their square metres where they have a place.

    Without a geometry those of which a part has no longitude and latitude.
    """
    for batch in _batches(objects):
        found = outlines(batch)
        if place is None:
            for one, polygons in zip(batch, found, strict=True):
                yield one, geometry_of(polygons), None
            continue
        for one, placed in zip(batch, place.geometries(found), strict=True):
            yield one, *(placed or (None, None))


def _batches(objects: Iterable[ConnectedObject]) -> Iterator[list[ConnectedObject]]:
    batch: list[ConnectedObject] = []
    runs = 0
    for one in objects:
        batch.append(one)
        runs += len(one.runs)
        if runs >= _RUNS:
            yield batch
            batch, runs = [], 0
    if batch:
        yield batch


def _feature(
    one: ConnectedObject,
    geometry: dict[str, Any],
    square_metres: float | None,
    class_names: Sequence[str],
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "class": class_names[one.class_index],
        "area_pixels": one.area,
        "box": one.box,
    }
    if square_metres is not None:
        properties["area_square_metres"] = float(f"{square_metres:.9g}")
    return {"type": "Feature", "properties": properties, "geometry": geometry}
