"""Finds out in which form a folder's data is, and how it is split."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter

from components.common import file_tree, picture_formats, schema
from components.common.errors import UserError
from components.datasets.config import BorrowConfig, FolderConfig
from components.datasets.layouts import by_content, class_names, tool_layouts
from components.datasets.layouts.mask_layouts import Layout, find_mask_files
from components.datasets.pairs import Matched, some
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.split_lists import TABLES, listed_only, read_list, splits_of_table
from components.datasets.splits.split_words import split_word
from components.datasets.splits.splitting import split, split_of_name, split_of_path

_ENOUGH = 0.5  # share of the pictures with a mask file, above which nothing else is looked for
# Forms of data that are known, but not read: ending -> how to convert it.
_UNREAD = {
    ".nii": "NIfTI volumes: save each slice as PNG or TIFF (nibabel reads them)",
    ".nii.gz": "NIfTI volumes: save each slice as PNG or TIFF (nibabel reads them)",
    ".mha": "medical volumes: save each slice as PNG or TIFF (SimpleITK reads them)",
    ".nrrd": "medical volumes: save each slice as PNG or TIFF (SimpleITK reads them)",
    ".dcm": "DICOM: save each slice as PNG or TIFF (pydicom reads them)",
    ".mat": "MATLAB files: save their arrays as PNG or .npy (scipy.io.loadmat reads them)",
    ".svs": "slides of microscopes: cut them into tiles (OpenSlide reads them)",
    ".npz": "archives of NumPy arrays: save each as .npy or PNG",
    ".h5": "HDF5: save each picture as PNG (h5py reads it)",
    ".hdf5": "HDF5: save each picture as PNG (h5py reads it)",
    ".tfrecord": "TFRecords: make a TFDS dataset of them (docs/how-to/own-data.md)",
    ".cr2": "raw files of cameras: develop them to JPEG or TIFF",
    ".nef": "raw files of cameras: develop them to JPEG or TIFF",
    ".arw": "raw files of cameras: develop them to JPEG or TIFF",
    ".dng": "raw files of cameras: develop them to JPEG or TIFF",
    ".psd": "Photoshop's files: export them as PNG",
    ".zip": "archives: unpack them",
    ".tar": "archives: unpack them",
    ".xml": "annotations in XML (boxes of VOC, CVAT's own): export masks or COCO from the tool",
    ".jsonl": "JSON in lines: write COCO's JSON, or masks",
    ".ndjson": "JSON in lines: write COCO's JSON, or masks",
    ".parquet": "tables: write their pictures as files",
}
_FEW = 3
_LARGEST_JSON = 20_000_000  # bytes of a file that may tell the splits


def find_layout(
    root: str,
    images: str | None,
    masks: str | None,
    annotations: tuple[str, ...],
    split_by: str | None = None,
    boxes: str | None = None,
) -> Layout:
    """The form, the folders, the names and the splits of a folder's data.

    Args:
      root: the folder.
      images: the folder of pictures, where it is told.
      masks: the folder of masks, likewise.
      annotations: annotation files, or a folder of them, likewise.
      split_by: `hash` leaves the folders' and lists' own splits out.
      boxes: what is done with annotations without a shape.

    Raises:
      UserError: no picture has a mask in a form that is known; says what is there.
    """
    for path, option in ((root, "FOLDER"), (images, "--images"), (masks, "--masks")):
        if path and "*" not in path and not os.path.isdir(path):
            raise UserError(f"{option}: there is no folder {path}")
    tree = file_tree.walk(root)
    if not annotations and not masks and (panoptic := tool_layouts.is_panoptic(tree.files)):
        raise UserError("; ".join(panoptic) + "; --masks names a folder of masks")
    layout = None
    if not annotations:
        layout = find_mask_files(root, list(tree.files), images, masks)
    if annotations or (not masks and (layout is None or layout.covered < _ENOUGH)):
        layout = tool_layouts.find_tools_form(root, tree.files, images, annotations) or layout
    if not annotations and not masks and (layout is None or not layout.matched.pairs):
        layout = by_content.find(root, list(tree.files), images) or layout
    if layout and boxes and layout.config.boxes != boxes:
        config = layout.config.model_copy(update={"boxes": boxes})
        layout = dataclasses.replace(layout, config=config, matched=mask_source(config).match())
    if layout is None or not layout.matched.pairs:
        told = list(layout.matched.notes) if layout else []
        if layout and (alone := layout.matched.without_picture):
            told.append(
                f"{len(alone)} masks or annotations have no picture of their name, or several "
                f"({some(alone)})"
            )
        raise UserError("; ".join([_nothing(root, tree, images, masks), *told]))
    notes = [*layout.notes, *layout.matched.notes, *_unread(tree)]
    layout = dataclasses.replace(layout, notes=notes)
    if split_by == "hash":
        own = [pair.name for pair in layout.matched.pairs if split_of_path(pair.name)]
        if own:
            note = f"{len(own)} pictures are in folders of splits, which --split hash leaves out"
            layout = dataclasses.replace(layout, notes=[*notes, note])
        _enough(layout)
    else:
        layout = _with_splits(root, tree.files, layout)
    return class_names.known_form(root, tree.files, layout)


def _nothing(root: str, tree: file_tree.Tree, images: str | None, masks: str | None) -> str:
    found = Counter(_ending(name) for name in tree.files)
    told = ", ".join(
        f"{count} {ending or 'without ending'}" for ending, count in found.most_common(5)
    )
    where = f"no picture in {images or root} has a mask of the same name" + (
        f" in {masks}" if masks else ""
    )
    lines = [
        f"{where} (a file in a folder called masks, labels or the like, or COCO's, labelme's or "
        f"Ultralytics' annotations); there are {told or 'no files'}. --images, --masks and "
        "--annotations name them"
    ]
    pointers = [name for name, path in tree.files.items() if _is_lfs_pointer(path)]
    if pointers:
        lines.append(f"{some(pointers)} are Git LFS pointers: run `git lfs pull`")
    channels = {re.sub(r"_000\d$", "", s) for s in map(_stem, tree.files) if s.endswith("_0001")}
    if channels & {s.removesuffix("_0000") for s in map(_stem, tree.files)}:
        lines.append(
            "pictures in several files, one for each channel (_0000, _0001, …), are not read: save "
            "them as one picture of three bands, or a TIFF of more (--bands)"
        )
    if any(_ending(name) == ".npy" for name in tree.files):
        lines.append(".npy files are read as masks only: save pictures as PNG or TIFF")
    return "; ".join([*lines, *tool_layouts.unread(tree.files), *_unread(tree)])


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _is_lfs_pointer(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(picture_formats.LFS_START)) == picture_formats.LFS_START
    except OSError:
        return False


def _ending(name: str) -> str:
    lower = name.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else os.path.splitext(lower)[1]


def _unread(tree: file_tree.Tree) -> list[str]:
    """What is there, but is not read, and what to do about it."""
    counts = Counter(_ending(name) for name in tree.files)
    notes = [
        f"{count} files end in {ending}, which is not read: {_UNREAD[ending]}"
        for ending, count in sorted(counts.items())
        if ending in _UNREAD
    ]
    if tree.dead_links:
        notes.append(
            f"{len(tree.dead_links)} links lead nowhere and are passed over "
            f"({some(tree.dead_links)})"
        )
    return notes


def _with_splits(root: str, tree: dict[str, str], layout: Layout) -> Layout:
    """The owner's own split, where one can be seen."""
    config, notes = layout.config, list(layout.notes)
    pairs = layout.matched.pairs
    lists = _find_lists(root, tree, layout)
    of_folders = {split_of_path(pair.name) for pair in pairs} - {None}
    source = mask_source(config)
    of_files = {split_word(source.split_of(pair)) for pair in pairs} - {None}
    if lists:
        config = config.model_copy(update={"split_by": "lists", "lists": lists})
    elif len(of_folders) > 1 or of_folders & {schema.VALIDATION, schema.TEST}:
        config = config.model_copy(update={"split_by": "folders"})
        loose = [pair.name for pair in pairs if split_of_path(pair.name) is None]
        if loose:
            notes.append(
                f"{len(loose)} pictures are in no folder of a split, and count as train "
                f"({some(loose)})"
            )
    elif len(of_files) > 1 or of_files & {schema.VALIDATION, schema.TEST}:
        config = config.model_copy(update={"split_by": "annotations"})
    elif len(of_names := {split_of_name(pair.name) for pair in pairs}) > 1 and None not in of_names:
        config = config.model_copy(update={"split_by": "names"})
    if config.split_by == "hash":
        _enough(layout)
    if config.split_by == "lists":
        config, matched, more = _only_listed(config, layout)
        layout = dataclasses.replace(layout, matched=matched)
        notes += more
        pairs = matched.pairs
    if config.split_by != "hash":
        config, more = _with_all_splits(pairs, config)
        notes += more
    return dataclasses.replace(layout, config=config, notes=notes)


def _enough(layout: Layout) -> None:
    count = len(layout.matched.pairs)
    if count < _FEW:
        raise UserError(
            f"{count} pictures with a mask are too few: train, validation and test need one each "
            "at least"
        )


def _with_all_splits(pairs: list, config: FolderConfig) -> tuple[FolderConfig, list[str]]:
    """Borrows the splits that are not there."""
    there = split(pairs, _open(config), mask_source(config))
    borrow, notes = {}, []
    for name, given, share in (
        (schema.TEST, schema.VALIDATION, 0.5),
        (schema.VALIDATION, schema.TRAIN, 0.1),
        (schema.TEST, schema.TRAIN, 0.1),
        (schema.TRAIN, schema.VALIDATION, 0.8),
    ):
        if there[name] or name in borrow or len(there[given]) < 2 or given in borrow:
            continue
        borrow[name] = BorrowConfig(split=given, share=share)
        notes.append(
            f"the data has no split {name}: {share:.0%} of {given} become {name}, which {given} "
            "then lacks"
        )
    missing = [name for name in schema.SPLITS if not there[name] and name not in borrow]
    if missing:
        counts = ", ".join(f"{name} {len(ones)}" for name, ones in there.items())
        raise UserError(
            f"the folders or lists of the data leave nothing for the split {missing[0]} "
            f"({counts}), and a test picture is never trained on: --split hash splits all pictures "
            "by their names instead"
        )
    return config.model_copy(update={"borrow": borrow}), notes


def _open(config: FolderConfig) -> FolderConfig:
    return config.model_copy(update={"borrow": {}})


def _find_lists(root: str, tree: dict[str, str], layout: Layout) -> dict[str, str]:
    """Text files called train, val, test that name the pictures; VOC's ImageSets first."""
    stems = {os.path.splitext(os.path.basename(pair.name))[0] for pair in layout.matched.pairs}
    groups: dict[str, dict[str, str]] = {}
    train_and_validation: dict[str, str] = {}
    for name, path in tree.items():
        stem, ending = os.path.splitext(os.path.basename(name))
        lower = stem.lower()
        words = [word for word in re.findall(r"[a-z]+", lower) if word != "list"]
        if ending.lower() in TABLES and _may_be_a_table(path, layout.config):
            if _names_pictures(path, stems) and (of_table := splits_of_table(path)):
                groups.setdefault(name, {}).update(dict.fromkeys(sorted(of_table), path))
                continue
        elif ending.lower() not in (".txt", ".lst", ""):
            continue
        both = "".join(words) == "trainval"
        told = schema.TRAIN if both else split_word(stem)
        if not words or len(words) > 2 or told is None or not _names_pictures(path, stems):
            continue
        kind = re.sub(r"[a-z]*(train|val|test|dev)[a-z]*", "", lower)
        key = f"{os.path.dirname(name)}/{kind}"
        if both:
            train_and_validation[key] = path
        else:
            groups.setdefault(key, {}).setdefault(told, path)
    for key, path in train_and_validation.items():
        if key in groups and schema.TRAIN not in groups[key]:
            groups[key][schema.TRAIN] = path
    fitting = {
        key: lists
        for key, lists in groups.items()
        if len(lists) > 1 or schema.TEST in lists or schema.VALIDATION in lists
    }
    if not fitting:
        return {}

    def rank(key: str) -> tuple:
        return ("segmentation" not in key.lower(), -len(fitting[key]), len(key), key)

    return fitting[min(fitting, key=rank)]


def _may_be_a_table(path: str, config: FolderConfig) -> bool:
    """Whether a CSV or JSON file may be one of splits: not the masks' own, nor one too large."""
    if path == config.run_lengths or path in config.annotations:
        return False
    is_json = path.lower().endswith(".json")
    return not is_json or (not config.labelme and os.path.getsize(path) < _LARGEST_JSON)


def _names_pictures(path: str, stems: set[str]) -> bool:
    try:
        lines = read_list(path)[:20]
    except UserError:
        return False
    named = [[os.path.basename(one.replace("\\", "/")) for one in line] for line in lines]
    known = sum(
        any(os.path.splitext(one)[0] in stems or one in stems for one in line) for line in named
    )
    return bool(lines) and known >= 0.5 * len(lines)


def _only_listed(config: FolderConfig, layout: Layout) -> tuple[FolderConfig, Matched, list[str]]:
    """Leaves out pictures that no list names, and lists of pictures without masks."""
    notes = []
    lists = {}
    for name, path in config.lists.items():
        found, missing = listed_only(layout.matched.pairs, [(name, path)])
        if not found:
            notes.append(f"{path} names no picture that has a mask, and is left out")
        elif missing:
            raise UserError(
                f"{path} names {len(missing)} pictures that are not there, or have no mask: "
                f"{some(missing)}; --split hash leaves the lists out"
            )
        else:
            lists[name] = path
    pairs, _ = listed_only(layout.matched.pairs, list(lists.items()))
    left = len(layout.matched.pairs) - len(pairs)
    if left and schema.TRAIN not in config.lists:
        pairs = layout.matched.pairs
        notes.append(f"{left} pictures are in none of the lists, and count as train")
    elif left:
        notes.append(f"{left} pictures with a mask are in none of the lists, and are left out")
    return (
        config.model_copy(update={"lists": lists}),
        dataclasses.replace(layout.matched, pairs=pairs),
        notes,
    )
