"""Masks from Ultralytics' text files: a class and a polygon in each line.

https://docs.ultralytics.com/datasets/segment: `<class> <x1> <y1> <x2> <y2> …`, coordinates
as shares of the picture's width and height; no line, or no file, is a picture without things.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import yaml

from components.common import file_tree
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import Matched, Pair, list_files, some
from components.datasets.sources import annotated, shapes

_BOX = 5  # numbers of a line that is a box: class, middle, size


class YoloMasks(annotated.AnnotationFiles):
    """Masks drawn from a text file for each picture.

    A pixel's value is its class's number + 1, 0 where there is none.

    Args:
      config: folder of the pictures, and folder of the files.

    Attributes:
      names: mask value -> class's name, from the data.yaml or classes.txt beside or above them.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        folder = os.path.expanduser(config.yolo or "")
        if not os.path.isdir(folder):
            raise UserError(f"dataset.folder.yolo: there is no folder {os.path.abspath(folder)}")
        self._folder = folder
        names = {number + 1: name for number, name in class_names(folder).items()}
        self.names = names or {0: "background"}

    def match(self) -> Matched:
        """As `MaskSource` has it."""
        images = list_files(self._config.images, "images")
        files = file_tree.walk(self._folder).files
        known = annotated.by_stem(files, ".txt")
        pairs, without, boxes, taken = [], [], [], set()
        for name, path in images.items():
            parts = file_tree.composed(os.path.splitext(name)[0]).split("/")
            found = known.get(parts[-1], [])
            same = [one for one in found if _agree(one, parts)]
            chosen = same or found
            if len(chosen) != 1:
                without.append(name)
                continue
            pair = Pair(name, path, files[chosen[0]])
            taken.add(chosen[0])
            if self._config.boxes == "leave_out" and _has_boxes(pair.mask):
                boxes.append(name)
            else:
                pairs.append(pair)
        notes = []
        if boxes:
            notes.append(
                f"{len(boxes)} pictures have boxes, but no shapes, and are left out "
                f"({some(boxes)}); --boxes draw takes the whole box, --boxes ignore the rest "
                "of the picture"
            )
        left = [
            one
            for ones in known.values()
            for one in ones
            if one not in taken and os.path.basename(one) != "classes.txt"
        ]
        return Matched(pairs, without, left, notes)

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """As `MaskSource` has it."""
        try:
            lines = list(_lines(pair.mask))
            size = annotated.size_of(pair.image)
        except OSError as error:
            return b"", str(error)
        return annotated.drawn(size, [functools.partial(self._thing, line, size) for line in lines])

    def _thing(self, line: str, size: tuple[int, int]) -> shapes.Thing | None:
        try:
            number, *numbers = (float(one) for one in line.split())
        except ValueError as error:
            raise shapes.ShapeError(f"{line[:40]!r} are no numbers") from error
        if not number.is_integer() or not 0 <= number < 65535:
            raise shapes.ShapeError(f"{number:g} is no class's number")
        if any(not -0.01 <= one <= 1.01 for one in numbers):
            raise shapes.ShapeError("coordinates must be shares of the picture, from 0 to 1")
        height, width = size
        value = int(number) + 1
        if len(numbers) + 1 == _BOX:
            if self._config.boxes != "draw":
                return None
            x, y, w, h = numbers
            left, top = (x - w / 2) * width, (y - h / 2) * height
            return shapes.Thing(value, shapes.box((left, top, w * width, h * height), size))
        scaled = [one * (height if at % 2 else width) for at, one in enumerate(numbers)]
        pixels = shapes.polygons([scaled], height, width)
        return None if pixels is None else shapes.Thing(value, pixels)


def class_names(folder: str) -> dict[int, str]:
    """Number -> name, from the data.yaml or classes.txt in a folder or above it."""
    for place in (folder, os.path.dirname(os.path.abspath(folder)), _above(folder, 2)):
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            if name in ("classes.txt", "obj.names"):
                return dict(enumerate(_lines(os.path.join(place, name))))
            if os.path.splitext(name)[1] in (".yaml", ".yml"):
                try:
                    data = yaml.safe_load(annotated.read_text(os.path.join(place, name)))
                except (OSError, yaml.YAMLError, ValueError):
                    continue
                names = data.get("names") if isinstance(data, dict) else None
                if isinstance(names, list):
                    return {number: str(one) for number, one in enumerate(names)}
                if isinstance(names, dict):
                    return {int(number): str(one) for number, one in names.items()}
    return {}


def _above(folder: str, levels: int) -> str:
    path = os.path.abspath(folder)
    for _ in range(levels):
        path = os.path.dirname(path)
    return path


def _agree(label: str, parts: list[str]) -> bool:
    """Whether a label's folders are the picture's, but for images and labels."""
    kinds = ("images", "labels")
    own = file_tree.composed(os.path.splitext(label)[0]).split("/")
    left, right = ([part for part in ones if part not in kinds] for ones in (own, parts))
    shorter = min(len(left), len(right))
    return left[-shorter:] == right[-shorter:]


def _lines(path: str) -> Iterator[str]:
    return (line.strip() for line in annotated.read_text(path).splitlines() if line.strip())


def _has_boxes(path: str) -> bool:
    try:
        return any(len(line.split()) == _BOX for line in _lines(path))
    except OSError:
        return False  # reading it says why
