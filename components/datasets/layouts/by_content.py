"""Finds pictures and masks whose names say nothing: by what is in the files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from components.common import picture_formats
from components.datasets.config import FolderConfig, NamesConfig
from components.datasets.layouts import mask_layouts
from components.datasets.layouts.mask_layouts import Layout
from components.datasets.layouts.mask_parts import stem_of
from components.datasets.layouts.name_patterns import OTHER_WORDS, has_mask_word, words_of
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import MASK_ENDINGS, list_files

_MOST_FOLDERS = 6
_MOST_KINDS = 6  # of names in one folder
_LEAST_SHARE = 0.2  # of the names, for a suffix to be one
_LOOKED_AT = 5  # files of each kind
_FEW_VALUES = 32  # of a mask
_COVERED = 0.5  # share of the pictures with a mask


def find(root: str, files: Sequence[str], images: str | None) -> Layout | None:
    """Two kinds of files of the same names, of which one has few values; None: there are none.

    Args:
      root: the folder.
      files: paths of all files below it.
      images: the folder of pictures, where it is told.
    """
    endings = picture_formats.endings().union(MASK_ENDINGS)
    folders = Counter(
        os.path.dirname(name) for name in files if os.path.splitext(name)[1].lower() in endings
    )
    parts: Counter[tuple[str, ...]] = Counter()
    for folder, count in folders.items():
        split = folder.split("/") if folder else []
        parts[tuple(mask_layouts.generalised(part) for part in split)] += count
    patterns = [
        mask_layouts.joined(root, one) for one, _ in mask_layouts.merged(parts).most_common()
    ][:_MOST_FOLDERS]
    patterns += [root] if root not in patterns else []
    for layout in _candidates(patterns, [images] if images else patterns):
        pairs = layout.matched.pairs
        if layout.covered < _COVERED or not pairs:
            continue
        step = max(1, len(pairs) // _LOOKED_AT)
        looked = pairs[::step][:_LOOKED_AT]
        if all(_few_values(p.mask) for p in looked) and not any(
            _few_values(p.image) for p in looked
        ):
            example = os.path.basename(looked[0].mask)
            note = (
                f"nothing in the names says which files are masks: those such as {example} have "
                "few values each, the others are taken for the pictures"
            )
            notes = [*layout.notes, note]
            return Layout(layout.config, layout.form, layout.matched, notes)
    return None


def _candidates(patterns: Sequence[str], of_images: Sequence[str]) -> Iterator[Layout]:
    for images in of_images:
        for masks in patterns:
            if images != masks:
                yield from mask_layouts.try_folders(images, masks, False)
        for config in _in_one_folder(images):
            if layout := mask_layouts.layout_of(config, []):
                yield layout


def _in_one_folder(folder: str) -> Iterator[FolderConfig]:
    """Masks that end otherwise than their pictures; or whose names have a suffix."""
    names = list_files(folder, "images", MASK_ENDINGS)
    by_ending: dict[str, set[str]] = {}
    for name in names:
        stem, ending = os.path.splitext(name)
        by_ending.setdefault(ending.lower(), set()).add(stem)
    for ending, stems in by_ending.items():
        if any(len(stems & others) > 1 for end, others in by_ending.items() if end != ending):
            yield FolderConfig(images=folder, masks=folder, names=NamesConfig(mask_ending=ending))
    stems = {stem_of(name) for name in names}
    suffixes = Counter(
        stem[at.start() :]
        for stem in stems
        for at in re.finditer(r"[ _.-]", stem)
        if stem[: at.start()] in stems
    )
    for suffix, count in sorted(suffixes.items(), key=lambda one: (-one[1], one[0]))[:_MOST_KINDS]:
        if count >= _LEAST_SHARE * len(stems):
            yield FolderConfig(images=folder, masks=folder, mask_suffix=suffix)
    yield from _in_folders_of_their_own(folder, names)


def _in_folders_of_their_own(folder: str, names: Iterable[str]) -> Iterator[FolderConfig]:
    """p01/image.png and p01/mask.png: the same few names in all folders."""
    places = Counter(stem_of(name) for name in names if "/" in name)
    usual = [
        stem
        for stem, count in places.most_common(_MOST_KINDS)
        if count > 2 and count >= 0.5 * max(places.values())
    ]
    likely = sorted(usual, key=lambda stem: bool(words_of(stem) & OTHER_WORDS))
    for mask in sorted(likely, key=lambda stem: not has_mask_word(stem)):
        for image in likely:
            if image != mask:
                names_config = NamesConfig(image_prefix=image, mask_prefix=mask)
                yield FolderConfig(images=folder, masks=folder, names=names_config)


def _few_values(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            raw = read_raw(file.read())
    except OSError:
        return False
    if raw.lossy:
        return False
    values = raw.values.reshape(-1, raw.values.shape[-1]) if raw.is_coloured else raw.values
    return len(np.unique(values, axis=0 if raw.is_coloured else None)) <= _FEW_VALUES
