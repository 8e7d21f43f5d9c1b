"""Masks from labelme's JSON files: https://github.com/wkentaro/labelme."""

from __future__ import annotations

import base64
import functools
import json
import os
from collections import Counter
from typing import Any

import numpy as np

from components.common import file_tree
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import Matched, Pair, list_files
from components.datasets.sources import annotated, shapes

_BACKGROUND = ("_background_", "background")
_NO_AREA = ("point", "line", "linestrip", "points")


class LabelmeMasks(annotated.AnnotationFiles):
    """Masks drawn from a JSON file for each picture.

    Polygons, rectangles, circles and labelme's own masks are drawn as their label's value,
    0 where there is none; points and lines have no area and are passed over.

    Args:
      config: folder of the pictures, folder of the files, and the labels' values.

    Attributes:
      names: mask value -> label.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self.names = {value: label for label, value in config.labels.items() if value}

    def match(self) -> Matched:
        """As `MaskSource` has it."""
        images = list_files(self._config.images, "images")
        folder = os.path.expanduser(self._config.labelme or "")
        if not os.path.isdir(folder):
            raise UserError(f"dataset.folder.labelme: there is no folder {os.path.abspath(folder)}")
        files = file_tree.walk(folder).files
        known = annotated.by_stem(files, ".json")
        pairs, without, taken = [], [], set()
        for name, path in images.items():
            stem = file_tree.composed(os.path.splitext(name)[0])
            found = known.get(os.path.basename(stem), [])
            same = [one for one in found if file_tree.composed(os.path.splitext(one)[0]) == stem]
            chosen = same or found
            if len(chosen) == 1:
                pairs.append(Pair(name, path, files[chosen[0]]))
                taken.add(chosen[0])
            else:
                without.append(name)
        left = [one for ones in known.values() for one in ones if one not in taken]
        counts: Counter[str] = Counter()
        for pair in pairs:
            for shape in self._shapes(pair, quiet=True):
                if shape.get("shape_type") in _NO_AREA:
                    counts[str(shape.get("shape_type"))] += 1
        notes = annotated.told_of(
            counts, "{count} shapes of the kind {what} have no area and are passed over"
        )
        return Matched(pairs, without, left, notes)

    def labels(self) -> list[str]:
        """All labels of things with an area, in the alphabet's order."""
        found = set()
        for pair in self.match().pairs:
            for shape in self._shapes(pair, quiet=True):
                if shape.get("shape_type") not in _NO_AREA:
                    found.add(str(shape.get("label")))
        return sorted(found - set(_BACKGROUND))

    def _shapes(self, pair: Pair, quiet: bool = False) -> list[dict[str, Any]]:
        try:
            data = json.loads(annotated.read_text(pair.mask))
            return [dict(shape) for shape in data["shapes"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if quiet:
                return []
            raise OSError(f"{os.path.basename(pair.mask)} is no labelme file: {error!r}") from error

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """As `MaskSource` has it."""
        try:
            found = self._shapes(pair)
            size = annotated.size_of(pair.image)
        except OSError as error:
            return b"", str(error)
        return annotated.drawn(
            size, [functools.partial(self._thing, shape, size) for shape in found]
        )

    def _thing(self, shape: dict[str, Any], size: tuple[int, int]) -> shapes.Thing | None:
        kind, label = shape.get("shape_type") or "polygon", str(shape.get("label"))
        if kind in _NO_AREA:
            return None
        background = label in _BACKGROUND
        value = 0 if background else self._config.labels.get(label)
        if value is None:
            raise shapes.ShapeError(f"its label {label!r} is not in dataset.folder.labels")
        pixels = _pixels(kind, shape, size)
        return None if pixels is None else shapes.Thing(value, pixels, background)


def _pixels(kind: str, shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
    points = np.asarray(shape["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise shapes.ShapeError("its points are no pairs of numbers")
    if kind == "polygon":
        return shapes.polygons([points.ravel().tolist()], *size)
    if len(points) < 2:
        raise shapes.ShapeError(f"a {kind} needs two points")
    (x0, y0), (x1, y1) = points[:2].tolist()
    if kind == "rectangle":
        left, top = min(x0, x1), min(y0, y1)
        return shapes.box((left, top, abs(x1 - x0), abs(y1 - y0)), size)
    if kind == "circle":  # its middle, and a point on it
        y, x = np.mgrid[: size[0], : size[1]] + 0.5
        return (x - x0) ** 2 + (y - y0) ** 2 <= (x1 - x0) ** 2 + (y1 - y0) ** 2
    if kind == "mask":
        try:
            part = read_raw(base64.b64decode(shape["mask"])).values > 0
        except (OSError, ValueError) as error:
            raise shapes.ShapeError(f"its mask can't be read: {error}") from error
        top, left = round(y0), round(x0)
        pixels = np.zeros(size, bool)
        part = part[: size[0] - top, : size[1] - left]
        pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
        return pixels
    raise shapes.ShapeError(f"shapes of the kind {kind!r} are not read")
