"""Pictures to label, with the model's masks as a start, as Label Studio and CVAT import them.

What they read, by their source: Label Studio's converter (label_studio_sdk 2.1.2,
converter/imports/coco.py) takes polygons, no run lengths, and makes a rectangle of each `bbox`;
CVAT's datumaro (cvat-ai/datumaro, datumaro/plugins/coco_format/extractor.py) asks for `iscrowd`,
and for `bbox` only where there is no shape: so there is none. CVAT's "Segmentation mask 1.1" is
datumaro's VOC (datumaro/plugins/voc_format/format.py), colours in labelmap.txt.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from components.common import palette, schema
from components.common.errors import UserError
from components.labels.alone import alone
from components.labels.polygons import polygons_of
from components.labels.selection import Candidate, gone

Form = Literal["coco", "masks"]
PICTURES, LIST, TABLE = "images", "pictures.txt", "chosen.csv"
COCO_FILE = "annotations.json"
_MASKS = "SegmentationClass"  # VOC's names
_SUBSET = os.path.join("ImageSets", "Segmentation", "default.txt")


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[str]:
    """A folder to write into, that becomes `out` at the end, and is gone where that is not reached.

    Raises:
      UserError: there is something in `out`, another call is writing it, or it can't be written.
    """
    partial = f"{out.rstrip(os.sep)}.partial"
    busy = f"--out: another call is writing {out}; name another folder, or wait for its end"
    with alone(f"{partial}.lock", busy):
        try:
            if os.path.exists(out) and not (os.path.isdir(out) and not os.listdir(out)):
                raise UserError(f"--out: {out} is there already; name a new folder for this round")
            shutil.rmtree(partial, ignore_errors=True)  # of a call that was killed
            os.makedirs(partial)
        except OSError as error:
            raise UserError(f"--out: {out} can't be written: {error.strerror}") from error
        try:
            yield partial
            os.replace(partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def hand_out(
    chosen: Sequence[Candidate],
    masks: Iterable[np.ndarray],
    classes: schema.ClassTable,
    out: str,
    form: Form,
) -> None:
    """Copies pictures out, and writes their masks.

    Args:
      chosen: the pictures.
      masks: uint8 [height, width] of class indices, for each.
      classes: the class table.
      out: from `new_folder`, for `images`, their list `pictures.txt`, the numbers in `chosen.csv`,
        and the masks.
      form: `coco`: polygons in `annotations.json`. `masks`: PNGs in colours, as VOC has them.

    Raises:
      UserError: it can't be written, or a picture is gone.
    """
    try:
        names = [_copy(one, out) for one in chosen]
        Path(out, LIST).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        _write_table(chosen, names, out)
        if form == "coco":
            content = coco(names, masks, classes)
            Path(out, COCO_FILE).write_text(json.dumps(content), encoding="utf-8")
        else:
            _write_voc(names, masks, classes, out)
    except OSError as error:
        raise UserError(f"--out: {out} can't be written: {error}") from error


def left_blank(classes: schema.ClassTable) -> str | None:
    """The class that has no polygons: the one of value 0, or else the one called background.

    What no polygon covers has the value 0 when it comes back.
    """
    zero = next((name for name, value in classes.values.items() if value == 0), None)
    return zero or ("background" if "background" in classes.values else None)


def coco(
    names: Sequence[str], masks: Iterable[np.ndarray], classes: schema.ClassTable
) -> dict[str, Any]:
    """The masks as a COCO file; a category's id is the class's value.

    Args:
      names: of the pictures.
      masks: uint8 [height, width] of class indices, for each.
      classes: the class table.
    """
    drawn = {
        index: (value, name)
        for index, (name, value) in enumerate(classes.values.items())
        if name != left_blank(classes)
    }
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, mask) in enumerate(zip(names, masks, strict=True), start=1):
        height, width = mask.shape
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for index, area, polygons in polygons_of(mask, list(drawn)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": drawn[index][0],
                    "segmentation": polygons,
                    "area": area,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": value, "name": name} for value, name in drawn.values()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _copy(one: Candidate, out: str) -> str:
    """Copies a picture as it is; gives its name below `images`.

    Raises:
      UserError: the picture can't be read.
    """
    try:
        content = Path(one.file.path).read_bytes()
    except OSError as error:
        raise gone(one, error) from error
    name = one.file.output + os.path.splitext(one.file.path)[1]
    target = Path(out, PICTURES, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return name.replace(os.sep, "/")


def _write_table(chosen: Sequence[Candidate], names: Sequence[str], out: str) -> None:
    with open(os.path.join(out, TABLE), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "source", "uncertainty", "margin", "flip"])
        for one, name in zip(chosen, names, strict=True):
            numbers = (f"{value:.6f}" for value in (one.uncertainty, one.margin, one.flip))
            writer.writerow([name, one.file.path, *numbers])


def _write_voc(
    names: Sequence[str], masks: Iterable[np.ndarray], classes: schema.ClassTable, out: str
) -> None:
    colors = palette.class_colors(len(classes))
    by_name: Mapping[str, np.ndarray] = dict(zip(classes.names, colors, strict=False))
    lines = [f"{name}:{','.join(map(str, color))}::\n" for name, color in by_name.items()]
    Path(out, "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines))
    stems = [os.path.splitext(name)[0] for name in names]
    for stem, mask in zip(stems, masks, strict=True):
        path = Path(out, _MASKS, f"{stem}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colors[mask]).save(path)
    subset = Path(out, _SUBSET)
    subset.parent.mkdir(parents=True, exist_ok=True)
    subset.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
