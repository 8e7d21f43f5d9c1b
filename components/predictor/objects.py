"""Objects in masks: the pixels of a class that hang together, as COCO's annotations."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from pycocotools import mask as run_lengths

from components.common.errors import UserError

OBJECTS_FILE = "objects.json"
_TOUCHING = np.ones((3, 3), bool)  # at a corner too, as in OpenCV and scikit-image


@dataclasses.dataclass(frozen=True)
class FoundObject:
    """One object.

    Attributes:
      class_index: of its class.
      box: left, top, width and height, in pixels.
      area: pixels.
      counts: COCO's compressed run lengths of its pixels in the whole mask.
    """

    class_index: int
    box: tuple[int, int, int, int]
    area: int
    counts: str


def find_objects(mask: np.ndarray, class_indices: Sequence[int]) -> list[FoundObject]:
    """Finds the connected objects of some classes.

    Args:
      mask: uint8 [height, width] of class indices.
      class_indices: of the classes.

    Returns:
      By class, each from top to bottom.
    """
    result = []
    for index in class_indices:
        pieces, _ = scipy.ndimage.label(mask == index, _TOUCHING)
        boxes = scipy.ndimage.find_objects(pieces)
        for (rows, columns), (starts, lengths) in zip(boxes, _runs(pieces), strict=True):
            # COCO's run lengths begin with what is not the object.
            before = starts - np.concatenate([[0], starts[:-1] + lengths[:-1]])
            counts = np.stack([before, lengths], axis=1).ravel().tolist()
            if rest := int(mask.size - starts[-1] - lengths[-1]):
                counts.append(rest)
            encoded = run_lengths.frPyObjects({"size": mask.shape, "counts": counts}, *mask.shape)
            left, top = columns.start, rows.start
            result.append(
                FoundObject(
                    class_index=index,
                    box=(left, top, columns.stop - left, rows.stop - top),
                    area=int(lengths.sum()),
                    counts=encoded["counts"].decode(),
                )
            )
    return result


def _runs(pieces: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The runs of each number from 1, down the columns: where they start, and their lengths.

    One pass for all of them: a picture may have thousands of specks.
    """
    flat = pieces.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    numbers = flat[starts]
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(1, pieces.max() + 2))
    for first, last in itertools.pairwise(bounds):
        chosen = order[first:last]
        yield starts[chosen], lengths[chosen]


def write_objects(
    pictures: Iterable[tuple[str, tuple[int, int], Sequence[FoundObject]]],
    class_names: Sequence[str],
    class_indices: Sequence[int],
    out: str,
) -> str:
    """Writes the objects of all pictures as one COCO file.

    Args:
      pictures: path, size (width, height) and objects of each.
      class_names: of all classes, by index.
      class_indices: of the classes that were looked for; a category's id is its index + 1.
      out: folder.

    Returns:
      The file's path.

    Raises:
      UserError: it can't be written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (path, (width, height), objects) in enumerate(pictures, start=1):
        images.append({"id": number, "file_name": path, "width": width, "height": height})
        for one in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one.class_index + 1,
                    "bbox": list(one.box),
                    "area": one.area,
                    "segmentation": {"size": [height, width], "counts": one.counts},
                    "iscrowd": 0,
                }
            )
    categories = [{"id": index + 1, "name": class_names[index]} for index in class_indices]
    file_path = os.path.join(out, OBJECTS_FILE)
    content = {"images": images, "annotations": annotations, "categories": categories}
    try:
        with open(file_path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    except OSError as error:
        raise UserError(f"the results can't be written: {error}") from error
    return file_path
