"""Pictures and masks find each other by their names."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from components.common import file_tree, picture_formats
from components.datasets.config import FolderConfig
from components.datasets.pairs import Matched, Pair, some, star_parts
from components.datasets.splits.split_words import own_suffix
from components.datasets.splits.splitting import split_of_path

_NUMBERED = re.compile(r"[ _-]?\(?\d+\)?")  # _1, -2, (3): one of several masks
_NUMBER_AT_END = re.compile(r"(.+?)[ _-]\(?\d+\)?")
_CLASS_JOINTS = re.compile(r"^[ _.-]|[ _.-]$")


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file, and what of its name it shares with its partner.

    Attributes:
      name: path below the pattern's fixed part.
      path: of the file.
      folder: what of its folders a partner has too, ending in /.
      stem: the name without ending, prefix and suffix; composed.
      base: the name with its ending, without prefix and suffix.
    """

    name: str
    path: str
    folder: str
    stem: str
    base: str


def named(
    files: dict[str, str],
    pattern: str,
    prefix: str,
    suffix: str,
    of_masks: bool = False,
    numbered: bool = False,
) -> list[NamedFile]:
    """The files whose names begin and end as the config says.

    Args:
      files: from `list_files`.
      pattern: the folder.
      prefix: of the names.
      suffix: of the names, before their ending.
      of_masks: whether these are masks: an ending of their own says nothing of the picture's.
      numbered: whether a number may follow the suffix.
    """
    found = []
    for name, path in files.items():
        base = file_tree.composed(os.path.basename(name))
        stem, ending = os.path.splitext(base)
        # a.jpg.png is a mask of a.jpg; a_mask.jpg.png or a.jpg_mask.png likewise.
        inner, picture_ending = os.path.splitext(stem)
        if picture_ending.lower() not in picture_formats.endings():
            inner, picture_ending = stem, "" if of_masks else ending
        cut = _cut(inner, prefix, own_suffix(inner, suffix), numbered)
        if cut is None and (cut := _cut(stem, prefix, suffix, numbered)) is not None:
            cut, picture_ending = _without_ending(cut)
        if cut is not None:
            folder = file_tree.composed(star_parts(pattern, name))
            found.append(NamedFile(name, path, folder, cut, f"{cut}{picture_ending}"))
    return found


def _without_ending(stem: str) -> tuple[str, str]:
    inner, picture_ending = os.path.splitext(stem)
    if picture_ending.lower() in picture_formats.endings():
        return inner, picture_ending
    return stem, ""


def _cut(stem: str, prefix: str, suffix: str, numbered: bool) -> str | None:
    if not stem.startswith(prefix):
        return None
    if stem.endswith(suffix) and len(stem) >= len(prefix) + len(suffix):
        return stem[len(prefix) : len(stem) - len(suffix)]
    at = stem.rfind(suffix) if numbered and suffix else -1
    if at >= len(prefix) and _NUMBERED.fullmatch(stem[at + len(suffix) :]):
        return stem[len(prefix) : at]
    return None


def pair_up(
    images: Sequence[NamedFile], masks: Sequence[NamedFile], config: FolderConfig
) -> Matched:
    """Pairs pictures and masks.

    Args:
      images: the pictures.
      masks: the masks.
      config: whether a picture may have several.
    """
    finder = _Finder(masks, config)
    same_key = Counter((image.folder, image.stem.casefold()) for image in images)
    same_stem = Counter(image.stem for image in images)
    same_numbers = Counter(folded(image.folder + image.stem) for image in images)
    pairs, without, notes, twice = [], [], [], []
    taken: set[str] = set()
    for image in images:
        unlike = same_numbers[folded(image.folder + image.stem)] == 1
        found = finder.find(image, same_stem[image.stem] == 1, unlike)
        if found and same_key[image.folder, image.stem.casefold()] > 1:
            exact = [mask for mask in found if mask.base == image.base]
            if not exact:
                twice.append(image.name)
                found = []
        if found:
            first, *others = found
            pairs.append(
                Pair(image.name, image.path, first.path, tuple(other.path for other in others))
            )
            taken.update(mask.path for mask in found)
        else:
            without.append(image.name)
    if twice:
        notes.append(
            f"{len(twice)} pictures share their name with another one, so that nobody can tell "
            f"whose the mask is; they are left out ({some(twice)})"
        )
    if finder.by_case:
        notes.append(
            f"{len(finder.by_case)} masks are named in other capitals than their pictures "
            f"({some(finder.by_case)})"
        )
    if finder.by_number:
        notes.append(
            f"{len(finder.by_number)} masks write the number in their names otherwise than their "
            f"pictures ({some(finder.by_number)})"
        )
    left = [mask.name for mask in masks if mask.path not in taken]
    return Matched(pairs, without, left, notes)


class _Finder:
    """Finds a picture's masks."""

    def __init__(self, masks: Sequence[NamedFile], config: FolderConfig) -> None:
        self._many = config.mask_parts != "one"
        self.by_case: list[str] = []
        self.by_number: list[str] = []
        self._tables: list[dict[str, list[NamedFile]]] = [defaultdict(list) for _ in range(6)]
        self._by_folder: dict[str, list[NamedFile]] = defaultdict(list)
        self._by_number: dict[str, list[NamedFile]] = defaultdict(list)
        by_base, by_path, by_stem, by_case, by_number, by_number_alone = self._tables
        for mask in masks:
            folder = mask.folder
            if config.mask_parts == "classes":
                folder = _without_class(mask.folder, config)
            stem = mask.stem
            by_class = config.mask_parts == "classes"
            if by_class and (label := class_of_stem(stem, config)):
                stem = _CLASS_JOINTS.sub("", _remove(stem, label))
            by_base[folder + mask.base].append(mask)
            by_path[folder + stem].append(mask)
            by_stem[stem].append(mask)
            by_case[(folder + stem).casefold()].append(mask)
            by_number[folded(folder + stem)].append(mask)
            by_number_alone[folded(stem)].append(mask)
            if not by_class or not stem:  # p01/road.png, where classes have names
                self._by_folder[mask.folder.rstrip("/")].append(mask)
            if self._many and (number := _NUMBER_AT_END.fullmatch(stem)):
                self._by_number[folder + number.group(1)].append(mask)

    def find(self, image: NamedFile, alone: bool, unlike: bool) -> list[NamedFile]:
        """The masks of a picture, in order; none where that is not clear.

        Args:
          image: the picture.
          alone: whether no other picture, in another folder, has its name.
          unlike: whether no other has it but for capitals and zeros before a number.
        """
        by_base, by_path, by_stem, by_case, by_number, by_number_alone = self._tables
        for table, key in (
            (by_base, image.folder + image.base),
            (by_path, image.folder + image.stem),
        ):
            found = table.get(key, [])
            if len(found) == 1 or (found and self._many):
                return found
        if self._many and (found := self._of_folder(image)):
            return found
        found = by_stem.get(image.stem, []) if alone else []
        if _of_one_split(image, found) and (len(found) == 1 or (found and self._many)):
            return found
        found = by_case.get((image.folder + image.stem).casefold(), [])
        if len(found) == 1:
            self.by_case.append(found[0].name)
            return found
        found = by_number.get(folded(image.folder + image.stem), []) if unlike else []
        if not found and unlike and alone:
            found = by_number_alone.get(folded(image.stem), [])
            found = found if _of_one_split(image, found) else []
        if len(found) == 1 or (found and self._many):
            self.by_number.append(found[0].name)
            return found
        return []

    def _of_folder(self, image: NamedFile) -> list[NamedFile]:
        """A picture's masks where they are numbered, or lie in a folder of their own."""
        if found := self._by_number.get(image.folder + image.stem):
            return found
        for key in (image.folder + image.stem, image.folder.rstrip("/")):
            if key and self._by_folder.get(key):
                return self._by_folder[key]
        return []


def _of_one_split(image: NamedFile, masks: Sequence[NamedFile]) -> bool:
    """Whether no mask's folder speaks of another split than the picture's."""
    return len({split_of_path(one.name) for one in (image, *masks)} - {None}) < 2


def folded(name: str) -> str:
    """A name without its capitals, and without zeros before its numbers."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())


def class_of_path(path: str, config: FolderConfig) -> str | None:
    """The class that a mask's folder or name speaks of, where masks are of one class each."""
    for folder in reversed(os.path.dirname(path).split(os.sep)):
        if folder in config.labels:
            return folder
    return class_of_stem(os.path.splitext(os.path.basename(path))[0], config)


def class_of_stem(stem: str, config: FolderConfig) -> str | None:
    """The label that a name ends or begins with."""
    fitting = [
        label
        for label in config.labels
        if re.search(rf"(^|[ _.-]){re.escape(label)}$|^{re.escape(label)}[ _.-]", stem)
    ]
    return max(fitting, key=len, default=None)


def _remove(stem: str, label: str) -> str:
    return stem.removesuffix(label) if stem.endswith(label) else stem.removeprefix(label)


def _without_class(folder: str, config: FolderConfig) -> str:
    parts = [part for part in folder.split("/") if part and part not in config.labels]
    return "".join(f"{part}/" for part in parts)
