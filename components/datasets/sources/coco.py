"""Masks from COCO annotations: polygons and run lengths become class values."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.masks.mask_values import to_png
from components.datasets.pairs import Matched, Pair, fixed_part, list_files, some
from components.datasets.sources import annotated, coco_file, shapes
from components.datasets.splits.split_words import split_word


class CocoMasks:
    """Masks drawn from annotation files, https://cocodataset.org/#format-data.

    A pixel's value is its annotation's `category_id` (one more, where ids begin at 0), 0 where
    there is none. Larger areas are drawn first, so that what lies on another thing is not
    hidden by it; crowds, and what is called background, lie below all.

    Args:
      config: folder of the pictures, and the annotation files.

    Attributes:
      names: mask value -> category's name.

    Raises:
      UserError: a file is missing or no COCO file, or its categories can't be mask values.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self._files = [coco_file.load(path) for path in config.annotations]
        self.names, self._values, self._notes = coco_file.merge_names(self._files)

    def match(self) -> Matched:
        """Finds the picture of each entry: by its path, or else by its name alone."""
        images = list_files(self._config.images, "images")
        finder = coco_file.PictureNames(list(images))
        found: dict[str, str] = {}
        without_picture, notes = [], list(self._notes)
        otherwise: list[str] = []
        twice = [name for file in self._files for name in file.twice]
        for index, file in enumerate(self._files):
            near = self._near(file.path, images)
            for number, entry in file.images.items():
                path = finder.find(entry["file_name"], near)
                if path is None and (path := finder.find_otherwise(entry["file_name"], near)):
                    otherwise.append(path)
                if path is None:
                    without_picture.append(entry["file_name"])
                elif path in found:
                    raise UserError(
                        f"dataset.folder.annotations: {path} has two entries, in "
                        f"{self._files[int(found[path].split('/')[0])].path} and {file.path}; "
                        "name the files that belong together"
                    )
                else:
                    found[path] = f"{index}/{number}"
        if otherwise:
            notes.append(
                f"{len(otherwise)} pictures end otherwise than the annotations say, or are in "
                f"other capitals ({some(otherwise)})"
            )
        if twice:
            notes.append(
                f"{len(twice)} pictures are listed twice; the annotations of both entries are "
                f"theirs ({some(twice)})"
            )
        notes += self._count_shapes()
        pairs, boxes_only = [], []
        for path in images:
            if path in found:
                pair = Pair(path, images[path], found[path])
                if self._config.boxes == "leave_out" and self._has_box_only(pair):
                    boxes_only.append(path)
                else:
                    pairs.append(pair)
        if boxes_only:
            notes.append(
                f"{len(boxes_only)} pictures with such boxes are left out ({some(boxes_only)}); "
                "--boxes draw takes the whole box, --boxes ignore the rest of the picture"
            )
        without = [path for path in images if path not in found]
        return Matched(pairs, without, without_picture, notes)

    def _near(self, path: str, images: dict[str, str]) -> list[str]:
        """The folders that a file speaks of: its own, and those of its split's name."""
        head = os.path.abspath(os.path.expanduser(fixed_part(self._config.images)))
        own = os.path.relpath(os.path.dirname(os.path.abspath(os.path.expanduser(path))), head)
        near = [] if own.startswith("..") else ["" if own == "." else own.replace(os.sep, "/")]
        folders = {os.path.dirname(name) for name in images}
        stem = os.path.splitext(os.path.basename(path))[0]
        words = split_word(stem) or split_word(os.path.basename(os.path.dirname(path)))
        if words:
            near += sorted(
                folder
                for folder in folders
                if any(split_word(part) == words for part in folder.split("/"))
            )
        return near

    def _count_shapes(self) -> list[str]:
        """Tells of annotations that draw nothing."""
        counts: Counter[str] = Counter()
        for file in self._files:
            counts["belong to pictures that are not listed, and are passed over"] += file.orphans
            for ones in file.annotations.values():
                for one in ones:
                    counts["have a box, but no shape"] += _is_box_only(one)
                    shape = one.get("segmentation")
                    if isinstance(shape, list):
                        counts["have polygons of less than three points, which are left out"] += (
                            any(shapes.is_click(polygon) for polygon in shape)
                        )
        return [f"{count} annotations {what}" for what, count in counts.items() if count]

    def _has_box_only(self, pair: Pair) -> bool:
        file, number = self._place(pair)
        return any(_is_box_only(one) for one in file.annotations.get(number, ()))

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """Draws a picture's mask.

        Returns:
          A grey PNG (8 bits, or 16 where an id needs them), and what is wrong with the
          annotations (empty: nothing).
        """
        file, number = self._place(pair)
        entry = file.images[number]
        height, width = entry["height"], entry["width"]
        if not height or not width:
            try:
                height, width = annotated.size_of(pair.image)
            except OSError as error:
                return b"", f"its size is not told, and the picture can't be read: {error}"
        if height * width > 100_000_000:
            return b"", f"its entry says that it has {height * width / 1e6:,.0f} million pixels"
        values = self._values[int(pair.mask.split("/")[0])]
        things, problem = [], ""
        for annotation in file.annotations.get(number, ()):
            try:
                pixels = self._pixels(annotation, height, width)
            except (shapes.ShapeError, ValueError, TypeError, KeyError) as error:
                told = str(error).splitlines()[0] if str(error) else type(error).__name__
                problem = f"its annotation {annotation.get('id')} can't be drawn: {told}"
                continue
            if pixels is not None:
                value = values[annotation["category_id"]]
                below = value == 0 or annotation.get("iscrowd") == 1
                things.append(shapes.Thing(value, pixels, below))
        return to_png(shapes.draw(things, height, width)), problem

    def _pixels(self, annotation: dict, height: int, width: int) -> np.ndarray | None:
        shape = annotation.get("segmentation")
        if _is_box_only(annotation):
            if self._config.boxes == "draw":
                return shapes.box(annotation["bbox"], (height, width))
            return None
        if not _has_shape(annotation):
            raise shapes.ShapeError("it has neither a shape nor a box")
        if isinstance(shape, list):
            return shapes.polygons(shape, height, width)
        if not isinstance(shape, dict):
            raise shapes.ShapeError(
                f"its segmentation is neither polygons nor run lengths of {width}x{height}"
            )
        return shapes.coco_runs(shape, height, width)

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """SHA-256 of a picture's annotations."""
        del hash_of  # the mask is no file
        file, number = self._place(pair)
        table = self._values[int(pair.mask.split("/")[0])]
        content = json.dumps(
            [file.images[number], file.annotations.get(number, []), sorted(table.items())],
            sort_keys=True,
        )
        return hashlib.sha256(content.encode()).hexdigest()

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """Paths of the masks' own files: none."""
        del pairs
        return []

    def split_of(self, pair: Pair) -> str:
        """Name of the annotation file, or of its folder where that tells it."""
        path = os.path.abspath(os.path.expanduser(self._place(pair)[0].path))
        name = os.path.splitext(os.path.basename(path))[0]
        if split_word(name):
            return name
        # Only below the pictures' folder: what lies above it is called as its owner likes.
        head = os.path.abspath(os.path.expanduser(fixed_part(self._config.images)))
        folder = os.path.relpath(os.path.dirname(path), head)
        return "" if folder.startswith((".", os.sep)) else os.path.basename(folder)

    def _place(self, pair: Pair) -> tuple[coco_file.CocoFile, str]:
        index, _, number = pair.mask.partition("/")
        return self._files[int(index)], number


def _is_box_only(annotation: dict) -> bool:
    """Whether an annotation has a box and nothing in it: from a tool for detection."""
    box = annotation.get("bbox")
    return not _has_shape(annotation) and isinstance(box, list) and len(box) == 4


def _has_shape(annotation: dict) -> bool:
    shape = annotation.get("segmentation")
    return shape is not None and (not isinstance(shape, list) or any(shape))
