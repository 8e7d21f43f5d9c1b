"""Names and colours of classes, from the files that tools write beside the masks."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable

from components.common import schema
from components.datasets.config import Color
from components.datasets.layouts.mask_layouts import Layout
from components.datasets.sources import annotated
from components.datasets.sources.mask_source import mask_source


@dataclasses.dataclass(frozen=True)
class ClassFile:
    """What such a file tells.

    Attributes:
      names: mask value -> name.
      colors: name -> colour.
    """

    names: dict[int, str] = dataclasses.field(default_factory=dict)
    colors: dict[str, Color] = dataclasses.field(default_factory=dict)


def known_form(root: str, tree: dict[str, str], layout: Layout) -> Layout:
    """The layout with its classes' names, and with the name that people call it.

    Args:
      root: the folder.
      tree: all files below it.
      layout: as it was found.
    """
    del root
    form = _form_of(tree, layout)
    if layout.config.mask_parts == "classes" or not layout.config.masks:
        names = mask_source(layout.config).names
        return dataclasses.replace(layout, form=form, names={**names})
    for name, path in sorted(tree.items(), key=lambda one: one[0].count("/")):
        base = os.path.basename(name).lower()
        reader = next((read for end, read in _READERS.items() if base.endswith(end)), None)
        if reader is None:
            continue
        try:
            found = reader(annotated.read_text(path))
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
            continue
        if found.names or found.colors:
            note = f"the classes' names are from {name}"
            return dataclasses.replace(
                layout,
                form=form,
                names=found.names,
                colors=found.colors,
                notes=[*layout.notes, note],
            )
    return dataclasses.replace(layout, form=form)


def _form_of(tree: dict[str, str], layout: Layout) -> str:
    parts = {part.lower() for name in tree for part in name.split("/")}
    masks = (layout.config.masks or "").lower()
    if "segmentationclass" in masks and "labelmap.txt" in parts:
        return "CVAT's segmentation masks"
    if "segmentationclass" in masks:
        return "the layout of Pascal VOC"
    if "gtfine" in masks:
        return "the layout of Cityscapes"
    if "labelstr" in masks:
        return "nnU-Net's layout"
    if "_classes.csv" in parts and layout.config.masks:
        return "Roboflow's semantic masks"
    return layout.form


def _labelmap(text: str) -> ClassFile:
    """CVAT's `label:r,g,b:parts:actions`."""
    colors = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, color = line.split(":")[:2]
            red, green, blue = (int(part) for part in color.split(","))
            colors[name] = (red, green, blue)
    return ClassFile(colors=colors)


def _pixel_values(text: str) -> ClassFile:
    """Roboflow's `Pixel Value, Class`."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    if [cell.lower() for cell in rows[0][:2]] != ["pixel value", "class"]:
        raise ValueError("other columns")
    return ClassFile(names={int(row[0]): row[1] for row in rows[1:]})


def _class_dict(text: str) -> ClassFile:
    """CamVid's `name,r,g,b`."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    heads = [cell.lower() for cell in rows[0]]
    at = [
        heads.index(next(h for h in heads if h in names))
        for names in (("name", "class", "class_name"), ("r", "red"), ("g", "green"), ("b", "blue"))
    ]
    return ClassFile(
        colors={row[at[0]]: (int(row[at[1]]), int(row[at[2]]), int(row[at[3]])) for row in rows[1:]}
    )


def _dataset_json(text: str) -> ClassFile:
    """nnU-Net's `labels`: name -> value, or in its first version value -> name."""
    labels = json.loads(text)["labels"]
    names = {}
    for key, value in labels.items():
        number, name = (int(key), value) if str(key).isdigit() else (int(value), key)
        if 0 <= number <= schema.LARGEST_MASK_VALUE:
            names[number] = str(name)
    return ClassFile(names=names)


def _list_of_names(text: str) -> ClassFile:
    """A name in each line, in the values' order."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(len(line) > 60 or "/" in line for line in lines):
        raise ValueError("no names")
    return ClassFile(names=dict(enumerate(lines)))


_READERS: dict[str, Callable[[str], ClassFile]] = {
    "labelmap.txt": _labelmap,
    "label_colors.txt": _labelmap,
    "_classes.csv": _pixel_values,
    "class_dict.csv": _class_dict,
    "dataset.json": _dataset_json,
    "class_names.txt": _list_of_names,
    "classes.txt": _list_of_names,
    "codes.txt": _list_of_names,
}
