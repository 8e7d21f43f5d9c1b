"""Pictures with several masks: one for each thing, or one for each class."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from components.common import file_tree, picture_formats
from components.datasets.config import FolderConfig
from components.datasets.layouts import name_patterns
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import star_parts
from components.datasets.sources.by_name import folded

_MOST_CLASSES = 50
_LOOKED_AT = 3  # masks of a class
_SAME = 0.6  # of what two masks of a picture cover, both do: two opinions, not two classes
_NUMBER_AT_END = re.compile(r"[ _.-]*\(?[0-9]+\)?$")
_JOINTS = re.compile(r"^[ _.-]+")


def in_folders(
    images: str, masks: str, image_names: dict[str, str], mask_names: dict[str, str]
) -> list[tuple[FolderConfig, str]]:
    """One mask for each thing in a folder of the picture's; one folder for each class.

    Args:
      images: pattern of the pictures' folder.
      masks: likewise.
      image_names: name -> path, from `list_files`.
      mask_names: likewise.

    Returns:
      What may be meant, each with its reason.
    """
    keys = {star_parts(images, name) + stem_of(name) for name in image_names}
    alone = Counter(star_parts(images, name).rstrip("/") for name in image_names)
    in_folder = Counter(star_parts(masks, name).rstrip("/") for name in mask_names)
    stems = {stem_of(name) for name in image_names}
    found = []
    own = [
        folder
        for folder in in_folder
        if folder in keys or folder in stems or (folder and alone.get(folder) == 1)
    ]
    if len(own) > 0.5 * len(image_names) and len(in_folder) > 1:
        config = FolderConfig(images=images, masks=masks, mask_parts="united")
        note = "each picture has masks of single things, which are united"
        if labels := _class_names(mask_names):
            config = FolderConfig(images=images, masks=masks, mask_parts="classes", labels=labels)
            note = "each picture has a mask of each class, by its name, which are united"
        found.append((config, note))
    by_class = defaultdict(set)
    paths_of: dict[str, dict[str, str]] = defaultdict(dict)
    for name, path in mask_names.items():
        first, _, rest = star_parts(masks, name).partition("/")
        by_class[first].add(stem_of(name))
        paths_of[first][rest + stem_of(name)] = path
    classes = [folder for folder, ones in by_class.items() if folder and len(ones & stems) > 0]
    several = sum(len(ones & stems) for ones in by_class.values()) > 1.2 * len(stems)
    if (
        len(by_class) == len(classes)
        and 1 < len(classes) <= _MOST_CLASSES
        and several
        and _are_classes([paths_of[folder] for folder in classes])
    ):
        labels = {name: number for number, name in enumerate(sorted(classes), 1)}
        config = FolderConfig(images=images, masks=masks, mask_parts="classes", labels=labels)
        found.append((config, "each class has masks of its own, which are united"))
    return found


def _class_names(mask_names: dict[str, str]) -> dict[str, int]:
    """What the same few names in all folders are: p01/road.png, p02/road.png, p01/sky.png, …"""
    counts = Counter(stem_of(name) for name in mask_names)
    several = [stem for stem, count in counts.items() if count > 1]
    if not 2 <= len(counts) <= _MOST_CLASSES or len(several) < 0.5 * len(counts):
        return {}
    if any(not re.search("[^0-9]", stem) for stem in counts):
        return {}
    return {stem: number for number, stem in enumerate(sorted(counts), 1)}


def by_suffix(
    images: str, masks: str, image_names: dict[str, str], mask_names: dict[str, str]
) -> FolderConfig | None:
    """One mask for each class, which the end of its name tells: a_road.png, a_sky.png.

    Args: as `in_folders` has them.
    """
    keys = {folded(stem_of(name)) for name in image_names}
    by_ending: dict[str, dict[str, str]] = defaultdict(dict)
    shown = set()
    for name, path in mask_names.items():
        key, ending = _parted(stem_of(name), keys)
        if ending:
            by_ending[ending][os.path.dirname(name) + key] = path
            shown.add(key)
        elif images != masks:
            return None
    words = set().union(*map(name_patterns.words_of, by_ending)) if by_ending else set()
    if (
        not 2 <= len(by_ending) <= _MOST_CLASSES
        or len(shown) < 0.5 * len(keys - set().union(*_ends_of(by_ending, keys)))
        or words & (name_patterns.OTHER_WORDS | {"labelids", "labeltrainids"})
        or len({_NUMBER_AT_END.sub("", ending) for ending in by_ending}) < len(by_ending)
        or not _are_classes([*by_ending.values()])
    ):
        return None
    labels = {_JOINTS.sub("", ending): at for at, ending in enumerate(sorted(by_ending), 1)}
    return FolderConfig(images=images, masks=masks, mask_parts="classes", labels=labels)


def _ends_of(by_ending: Iterable[str], keys: set[str]) -> list[set[str]]:
    """Keys that are masks themselves, in a folder of both."""
    return [{key for key in keys if key.endswith(ending.casefold())} for ending in by_ending]


def _parted(stem: str, keys: set[str]) -> tuple[str, str]:
    """The shortest beginning that is a picture's name, and the rest behind a joint."""
    for at in re.finditer(r"[ _.-]", stem):
        if (key := folded(stem[: at.start()])) in keys:
            return key, stem[at.start() :]
    return folded(stem), ""


def _are_classes(kinds: Sequence[dict[str, str]]) -> bool:
    """Whether kinds of masks are of one class each, and no two show the same.

    Args:
      kinds: for each, picture -> path of its mask.
    """
    found: list[dict[str, np.ndarray]] = []
    for paths in kinds:
        masks = {key: _thing(paths[key]) for key in sorted(paths)[:_LOOKED_AT]}
        if any(mask is None for mask in masks.values()):
            return False
        found.append({key: mask for key, mask in masks.items() if mask is not None})
    for one, other in itertools.combinations(found, 2):
        both = [(one[key], other[key]) for key in one.keys() & other.keys()]
        covered = [(a & b).sum() / (a | b).sum() for a, b in both if a.shape == b.shape and a.any()]
        if covered and np.mean(covered) > _SAME:
            return False
    return True


def _thing(path: str) -> np.ndarray | None:
    """What a mask of one class shows; None: it has other values than background and one."""
    try:
        with open(path, "rb") as file:
            raw = read_raw(file.read())
    except OSError:
        return None
    if raw.is_coloured or raw.palette is not None or len(np.unique(raw.values)) > 2:
        return None
    return raw.values > 0


def stem_of(name: str) -> str:
    """A file's name without folders and endings: a for a.jpg.png."""
    stem = os.path.splitext(os.path.basename(file_tree.composed(name)))[0]
    inner, ending = os.path.splitext(stem)
    return inner if ending.lower() in picture_formats.endings() else stem
