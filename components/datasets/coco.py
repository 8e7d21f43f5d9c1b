"""Masks from COCO annotations: polygons and run lengths become class values."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from components.common import schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.folder_files import Matched, Pair, files, some

BACKGROUND = 0  # what no annotation covers


class CocoMasks:
    """Masks drawn from annotation files, https://cocodataset.org/#format-data.

    A pixel's value is its annotation's `category_id`; 0 where there is none. Larger areas are
    drawn first, so that what lies on another thing is not hidden by it.

    Args:
      config: folder of the pictures, and the annotation files.

    Attributes:
      categories: category's name -> its id, in the ids' order.

    Raises:
      UserError: a file is missing or no COCO file, or its categories can't be mask values.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self._files = [_load(path) for path in config.annotations]
        names: dict[int, str] = {}
        for path, coco in zip(config.annotations, self._files, strict=True):
            for category in coco.dataset["categories"]:
                number, name = category["id"], str(category["name"])
                if names.setdefault(number, name) != name:
                    raise UserError(
                        f"dataset.folder.annotations: {path} calls category {number} {name!r}, "
                        f"another file {names[number]!r}"
                    )
            used = {annotation["category_id"] for annotation in coco.dataset["annotations"]}
            for number in sorted(used, key=str):
                if not isinstance(number, int) or not 0 < number <= schema.LARGEST_MASK_VALUE:
                    raise UserError(
                        f"dataset.folder.annotations: {path} has the category_id {number}; as "
                        f"mask values, ids must be between 1 and {schema.LARGEST_MASK_VALUE} "
                        "(0 is the background)"
                    )
        self.categories = {names[number]: number for number in sorted(names) if number}

    def match(self) -> Matched:
        """Finds the picture of each entry: by its path, or else by its name alone."""
        images = files(os.path.expanduser(self._config.images), "images")
        by_name: dict[str, list[str]] = {}
        for image in images:
            by_name.setdefault(os.path.basename(image), []).append(image)
        found: dict[str, str] = {}
        without_picture: list[str] = []
        for index, coco in enumerate(self._files):
            for number, entry in coco.imgs.items():
                name = str(entry["file_name"]).replace("\\", "/")
                alone = by_name.get(os.path.basename(name), [])
                path = name if name in images else alone[0] if len(alone) == 1 else None
                if path is None:
                    without_picture.append(name)
                elif path in found:
                    raise UserError(f"dataset.folder.annotations: {path} has two entries")
                else:
                    found[path] = f"{index}/{json.dumps(number)}"
        pairs = [Pair(path, images[path], found[path]) for path in images if path in found]
        return Matched(pairs, [path for path in images if path not in found], without_picture)

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """Draws a picture's mask.

        Returns:
          A grey PNG (8 bits, or 16 where an id needs them), and what is wrong with the
          annotations (empty: nothing).
        """
        coco, number = self._place(pair)
        height, width = (int(coco.imgs[number][key]) for key in ("height", "width"))
        annotations = coco.imgToAnns[number]
        drawn, problem = [], ""
        for annotation in annotations:
            try:
                drawn.append((_pixels(annotation, height, width), annotation["category_id"]))
            except (ValueError, TypeError, KeyError) as error:
                told = str(error).splitlines()[0] if str(error) else type(error).__name__
                problem = f"its annotation {annotation.get('id')} can't be drawn: {told}"
        wide = max(self.categories.values(), default=0) > 255
        values = np.full((height, width), BACKGROUND, np.uint16 if wide else np.uint8)
        for pixels, value in sorted(drawn, key=lambda one: -int(one[0].sum())):
            values[pixels] = value
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        return buffer.getvalue(), problem

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """SHA-256 of a picture's annotations."""
        del hash_of  # the mask is no file
        coco, number = self._place(pair)
        size = [coco.imgs[number][key] for key in ("height", "width")]
        content = json.dumps([size, coco.imgToAnns[number]], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """Paths of the masks' own files: none."""
        del pairs
        return []

    def _place(self, pair: Pair) -> tuple[COCO, int | str]:
        index, _, number = pair.mask.partition("/")
        return self._files[int(index)], json.loads(number)


def _load(path: str) -> COCO:
    path = os.path.expanduser(path)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells how long it takes
            coco = COCO(path)
        for key, wanted in (
            ("images", ("id", "file_name", "height", "width")),
            ("annotations", ("image_id", "category_id", "segmentation")),
            ("categories", ("id", "name")),
        ):
            for entry in coco.dataset[key]:
                missing = [one for one in wanted if one not in entry]
                if missing:
                    raise UserError(
                        f"dataset.folder.annotations: {path}: an entry of {key} "
                        f"({some([json.dumps(entry)[:80]])}) has no {missing[0]}"
                    )
    except OSError as error:
        raise UserError(f"dataset.folder.annotations: {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise UserError(
            f"dataset.folder.annotations: {path} is no COCO file with images, annotations and "
            f"categories: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return coco


def _pixels(annotation: dict, height: int, width: int) -> np.ndarray:
    """bool [height, width]: what an annotation covers.

    Raises:
      ValueError: it is neither polygons nor run lengths, or does not fit the picture.
    """
    shape = annotation["segmentation"]
    if isinstance(shape, list):
        for polygon in shape:
            numbers = np.asarray(polygon, np.float64)
            # pycocotools takes four numbers for a box, and does not look at the rest.
            if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2:
                raise ValueError("a polygon needs three points or more, as [x, y, x, y, …]")
            if not np.isfinite(numbers).all() or np.abs(numbers).max() > 10 * max(height, width):
                raise ValueError("a polygon lies far outside the picture")
        if not shape:
            return np.zeros((height, width), bool)
        runs = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
    elif isinstance(shape, dict) and list(shape.get("size", ())) == [height, width]:
        counts = shape.get("counts")
        if isinstance(counts, list):
            if any(not isinstance(one, int) or one < 0 for one in counts):
                raise ValueError("a run length is no whole number")
            if sum(counts) != height * width:
                raise ValueError(f"the run lengths make {sum(counts)} pixels, not {height * width}")
            runs = coco_mask.frPyObjects(shape, height, width)
        else:
            text = counts.encode() if isinstance(counts, str) else b""
            if _run_total(text) != height * width:
                raise ValueError("the run lengths don't make the picture's pixels")
            runs = {"size": [height, width], "counts": text}
    else:
        raise ValueError(
            f"its segmentation is neither polygons nor run lengths of {width}x{height}"
        )
    return coco_mask.decode(runs).astype(bool)


def _run_total(text: bytes) -> int:
    """Number of pixels that COCO's compressed run lengths make; -1: they are none.

    Five bits a character, the sixth says that more follow; from the third run on, what is
    stored is the difference to the run before the last (`rleFrString` in maskApi.c).
    """
    runs: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            if at >= len(text) or not 48 <= text[at] < 112 or shift > 30:
                return -1
            character = text[at] - 48
            value |= (character & 0x1F) << shift
            shift += 5
            more = bool(character & 0x20)
            at += 1
            if not more and character & 0x10:
                value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            return -1
        runs.append(value)
    return sum(runs)
