"""Finds what annotation tools write: COCO, labelme, Ultralytics, run lengths in a CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Sequence

from components.common import file_tree, picture_formats
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.layouts.mask_layouts import Layout
from components.datasets.pairs import some
from components.datasets.sources import annotated, coco_file, run_lengths
from components.datasets.sources.coco import CocoMasks
from components.datasets.sources.labelme import LabelmeMasks
from components.datasets.sources.run_lengths import RunLengthMasks
from components.datasets.sources.yolo import YoloMasks

_MOST_JSON = 40  # files that are looked into for COCO; there are as many of labelme's as pictures
_KEYPOINTS = ("keypoints", "captions", "stuff_panoptic", "panoptic")


def find_tools_form(
    root: str, tree: dict[str, str], images: str | None, told: Sequence[str]
) -> Layout | None:
    """The form of a tool below a folder; None: there is none.

    Args:
      root: the folder.
      tree: all files below it: path below -> path.
      images: the folder of pictures, where it is told.
      told: annotation files or folders, where they are told.

    Raises:
      UserError: what is told is of none of these forms.
    """
    if told:
        layout = _of_told(root, tree, images, told)
        if layout is None:
            raise UserError(
                f"--annotations: {', '.join(told)}: neither COCO's JSON files, nor a CSV file of "
                "run lengths, nor a folder of labelme's or Ultralytics' files"
            )
        return layout
    coco = _coco_files(tree)
    if coco:
        return _coco(root, tree, images, coco)
    for find in (_labelme, _yolo, _csv):
        if (layout := find(root, tree, images)) is not None:
            return layout
    return None


def _of_told(
    root: str, tree: dict[str, str], images: str | None, told: Sequence[str]
) -> Layout | None:
    if all(os.path.isdir(path) for path in told) and len(told) == 1:
        inside = {
            os.path.relpath(path, root): path for path in file_tree.walk(told[0]).files.values()
        }
        return _labelme(root, inside, images, told[0]) or _yolo(root, inside, images, told[0])
    if all(path.lower().endswith(".csv") for path in told) and len(told) == 1:
        return _csv_file(root, told[0], _pictures_folder(root, tree, images))
    return _coco(root, tree, images, told)


def _pictures_folder(root: str, tree: dict[str, str], images: str | None) -> str:
    """The folder that holds all pictures; a folder that is called so, where that is all."""
    if images:
        return images
    folders = {os.path.dirname(n) for n in tree if _ending(n) in picture_formats.endings()}
    common = os.path.commonpath(folders) if folders and all(folders) else ""
    return os.path.join(root, common) if common else root


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _coco_files(tree: dict[str, str]) -> list[str]:
    """COCO's files that have shapes; of instances and keypoints beside one another, instances."""
    names = [name for name in tree if _ending(name) == ".json"]
    found = []
    for name in names[:_MOST_JSON]:
        try:
            data = json.loads(annotated.read_text(tree[name]))
        except (OSError, ValueError, RecursionError):
            continue
        if coco_file.is_coco(data) and any(
            isinstance(one, dict) and ("segmentation" in one or "bbox" in one)
            for one in data["annotations"]
        ):
            found.append(name)
    plain = [name for name in found if not any(w in name.lower() for w in _KEYPOINTS)]
    return [tree[name] for name in plain or found]


def _coco(root: str, tree: dict[str, str], images: str | None, files: Sequence[str]) -> Layout:
    folder = _pictures_folder(root, tree, images)
    config = FolderConfig(images=folder, annotations=tuple(files))
    others = [
        name
        for name, path in tree.items()
        if _ending(name) == ".json" and path not in files and len(tree) < 10**6
    ]
    notes = [f"other JSON files are passed over: {some(others)}"] if others else []
    return Layout(config, "COCO annotations", CocoMasks(config).match(), notes)


def _labelme(
    root: str, tree: dict[str, str], images: str | None, folder: str | None = None
) -> Layout | None:
    names = [name for name in tree if _ending(name) == ".json"]
    found = []
    for name in names[:3]:
        try:
            data = json.loads(annotated.read_text(tree[name]))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(data, dict) and isinstance(data.get("shapes"), list):
            found.append(name)
    if not found:
        return None
    place = folder or _common(root, names)
    config = FolderConfig(images=_pictures_folder(root, tree, images), labelme=place)
    labels = LabelmeMasks(config).labels()
    config = config.model_copy(update={"labels": {one: at for at, one in enumerate(labels, 1)}})
    return Layout(config, "labelme's JSON files", LabelmeMasks(config).match())


def unread(tree: dict[str, str]) -> list[str]:
    """What JSON files are that no reader takes, and what to do about it."""
    notes, told = [], set()
    for name in [name for name in tree if _ending(name) == ".json"][:_MOST_JSON]:
        try:
            data = json.loads(annotated.read_text(tree[name]))
        except (OSError, ValueError, RecursionError) as error:
            notes.append(f"{name} is no JSON: {str(error)[:100]}")
            continue
        kind = _kind_of(data)
        if kind and kind not in told:
            told.add(kind)
            notes.append(f"{name} is {kind}")
    return notes + _points(tree)


def is_panoptic(tree: dict[str, str]) -> list[str]:
    """What to do about COCO's panoptic files, where there are any and nothing else of COCO's."""
    names = {name: path for name, path in tree.items() if "panoptic" in name.lower()}
    if _coco_files(tree):
        return []
    return [note for note in unread(names) if "panoptic" in note]


def _points(tree: dict[str, str]) -> list[str]:
    """CSV files of points: a mask needs each pixel's class."""
    notes = []
    for name in [name for name in tree if _ending(name) == ".csv"][:_MOST_JSON]:
        try:
            first = "".join(annotated.read_text(tree[name])[:2000].splitlines()[:1])
        except OSError:
            continue
        columns = {one.strip().lower() for one in re.split("[,;\t]", first)}
        if {"x", "y"} <= columns:
            notes.append(
                f"{name} has points (x, y), which are no masks: draw a shape for each, as COCO or "
                "in mask files"
            )
    return notes


def _kind_of(data: object) -> str:
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        return ""
    inner = next(iter(first.values()), None) if first else None
    if "_via_img_metadata" in first or (isinstance(inner, dict) and "regions" in inner):
        return "of the VGG Image Annotator, which is not read: export COCO from it"
    if "objects" in first and "size" in first:
        return "of Supervisely, which is not read: export its masks (masks_machine) or COCO from it"
    if "data" in first and ("annotations" in first or "completions" in first):
        return "of Label Studio, which is not read: export COCO from it"
    if "data_row" in first or "Labeled Data" in first:
        return "of Labelbox, which is not read: export masks or COCO from it"
    if isinstance(first.get("shapes"), list) and first.get("imageData"):
        return (
            "of labelme and holds the picture itself (imageData): save the pictures as files, as "
            "labelme_export_json does"
        )
    if isinstance(first.get("items"), list) and isinstance(first.get("categories"), dict):
        return "of Datumaro, which is not read: datum convert -f coco_instances makes COCO of it"
    if isinstance(first.get("annotations"), list) and "segments_info" in str(
        first["annotations"][:1]
    ):
        return (
            "COCO's panoptic form, whose masks have a colour for each thing: make masks of classes "
            "with panopticapi's panoptic2semantic_segmentation, or name COCO's instances"
        )
    if isinstance(first.get("annotations"), list) and "caption" in str(first["annotations"][:1]):
        return "COCO's captions: take its instances"
    return ""


def _common(root: str, names: Sequence[str]) -> str:
    folders = {os.path.dirname(name) for name in names}
    common = os.path.commonpath(folders) if all(folders) else ""
    return os.path.join(root, common) if common else root


def _yolo(
    root: str, tree: dict[str, str], images: str | None, folder: str | None = None
) -> Layout | None:
    stems = {
        os.path.splitext(os.path.basename(n))[0]
        for n in tree
        if _ending(n) in picture_formats.endings()
    }
    names = [
        name
        for name in tree
        if _ending(name) == ".txt"
        and (folder or os.path.splitext(os.path.basename(name))[0] in stems)
    ]
    if not names or not any(map(_is_yolo, (tree[name] for name in names[:20]))):
        return None
    config = FolderConfig(
        images=_pictures_folder(root, tree, images), yolo=folder or _common(root, names)
    )
    return Layout(config, "Ultralytics' text files of polygons", YoloMasks(config).match())


def _is_yolo(path: str) -> bool:
    try:
        lines = annotated.read_text(path).split("\n")[:5]
    except OSError:
        return False
    pattern = re.compile(r"\d+(\s+[-\d.eE+]+){4,}\s*")
    return any(lines) and all(pattern.fullmatch(line) for line in lines if line.strip())


def _csv(root: str, tree: dict[str, str], images: str | None) -> Layout | None:
    fitting = []
    for name, path in tree.items():
        if _ending(name) != ".csv" or "sample_submission" in name.lower():
            continue
        try:
            first = "".join(annotated.read_text(path)[:2000].splitlines()[:1])
        except OSError:
            continue
        heads = csv.reader(io.StringIO(first), delimiter=run_lengths.delimiter_of(first))
        columns = [one.strip().lower() for one in next(heads, [])]
        if any(column in run_lengths.RUN_COLUMNS for column in columns):
            fitting.append(path)
    if not fitting:
        return None
    folder = _pictures_folder(root, tree, images)
    layouts = [_csv_file(root, path, folder) for path in fitting]
    return max(layouts, key=lambda layout: len(layout.matched.pairs))


def _csv_file(root: str, path: str, images: str) -> Layout:
    del root
    config = FolderConfig(images=images, run_lengths=path)
    labels = RunLengthMasks(config).labels()
    values = (
        {one: int(one) for one in labels}
        if labels and all(one.isdigit() and 0 < int(one) < 256 for one in labels)
        else {one: number for number, one in enumerate(labels, 1)}
    )
    start, order, notes = RunLengthMasks(config).counted()
    update = {"labels": values, "run_start": start, "run_order": order}
    config = config.model_copy(update=update)
    return Layout(config, "run lengths in a CSV file", RunLengthMasks(config).match(), notes)
