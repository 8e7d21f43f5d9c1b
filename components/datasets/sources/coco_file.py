"""COCO annotation files in all their dialects, brought to one form."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import urllib.parse
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from components.common import file_tree, schema
from components.common.errors import UserError
from components.datasets.pairs import some

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before a name


@dataclasses.dataclass
class CocoFile:
    """One annotation file.

    Attributes:
      path: of the file.
      images: id (as text) -> entry, with `file_name` and, where they are told, whole
        numbers `height` and `width`.
      annotations: id of the picture (as text) -> its annotations.
      categories: category's id -> name, as listed.
      orphans: annotations of pictures that are not listed.
      twice: names of pictures that have several entries, which are made one.
    """

    path: str
    images: dict[str, dict[str, Any]]
    annotations: dict[str, list[dict[str, Any]]]
    categories: dict[int, str]
    orphans: int
    twice: list[str]


def load(path: str) -> CocoFile:
    """Reads a file.

    Raises:
      UserError: it is no COCO file.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = json.loads(file_tree.decoded(file.read()))
    except OSError as error:
        raise UserError(f"dataset.folder.annotations: {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _no_coco(path, f"{type(error).__name__}: {str(error)[:200]}") from error
    if not is_coco(data):
        raise _no_coco(path, "one of these lists is missing")
    data.setdefault("categories", [])  # those that are used are named by their numbers
    for key, wanted in (
        ("images", ("id", "file_name")),
        ("annotations", ("image_id", "category_id")),
        ("categories", ("id",)),
    ):
        for entry in data[key]:
            missing = [one for one in wanted if not isinstance(entry, dict) or one not in entry]
            if missing:
                raise UserError(
                    f"dataset.folder.annotations: {path}: an entry of {key} "
                    f"({json.dumps(entry)[:80]}) has no {missing[0]}"
                )
    images: dict[str, dict[str, Any]] = {}
    first: dict[str, str] = {}  # file name -> its first entry's id
    same: dict[str, str] = {}  # entry's id -> that of the first of its name
    for entry in data["images"]:
        sizes = {key: _whole(entry.get(key)) for key in ("height", "width")}
        key, name = _id(entry["id"]), str(entry["file_name"])
        same[key] = first.setdefault(name, key)
        if same[key] == key:
            images[key] = {"file_name": name, **sizes}
    twice = [images[one]["file_name"] for key, one in same.items() if one != key]
    annotations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    orphans = 0
    for entry in data["annotations"]:
        key = same.get(_id(entry["image_id"]), "")
        if not key:
            orphans += 1
            continue
        number = _whole(entry["category_id"])
        if number is None or number < 0:
            raise UserError(
                f"dataset.folder.annotations: {path} has the category_id "
                f"{entry['category_id']!r}, which is no number from 0"
            )
        annotations[key].append({**entry, "category_id": number})
    categories = {}
    for entry in data["categories"]:
        number = _whole(entry["id"])
        if number is None:
            raise UserError(
                f"dataset.folder.annotations: {path} has a category with the id {entry['id']!r}, "
                "which is no number"
            )
        categories[number] = str(entry.get("name") or f"category_{number}")
    return CocoFile(path, images, dict(annotations), categories, orphans, twice)


def is_coco(data: Any) -> bool:
    """Whether JSON has what a COCO file has."""
    return (
        isinstance(data, dict)
        and all(isinstance(data.get(key), list) for key in ("images", "annotations"))
        and isinstance(data.get("categories", []), list)
    )


def _no_coco(path: str, reason: str) -> UserError:
    return UserError(
        f"dataset.folder.annotations: {path} is no COCO file with images, annotations and "
        f"categories: {reason}"
    )


def _whole(value: Any) -> int | None:
    """A whole number, also where a tool wrote 64.0 or "64"."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if not isinstance(value, bool) and number.is_integer() else None


def _id(value: Any) -> str:
    number = _whole(value)
    return str(value) if number is None else str(number)


class PictureNames:
    """Finds the file that an entry's `file_name` means.

    Args:
      names: paths of the pictures below their folder.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {file_tree.composed(name): name for name in names}
        self._by_base: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            self._by_base[os.path.basename(name)].append(name)
            self._by_stem[_stem(name)].append(name)

    def find(self, file_name: str, near: Sequence[str]) -> str | None:
        """The picture, by its path or else by its name alone; None: none, or it is not clear.

        Args:
          file_name: as the file has it: with other slashes, as an address, in other folders.
          near: folders (below that of the pictures) that the annotation file speaks of; of
            several pictures of one name, the one in them is meant.
        """
        for text in _spellings(file_tree.composed(file_name)):
            # A path that leads out of the folder speaks of its last part only.
            parts = [part for part in text.split("/") if part not in ("", ".")]
            parts = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
            for folder in near:
                if (name := "/".join([folder, *parts]).lstrip("/")) in self._names:
                    return self._names[name]
            for start in range(len(parts)):
                tail = "/".join(parts[start:])
                if tail in self._names and (start == 0 or "/" in tail):
                    return self._names[tail]
                base = self._by_base.get(parts[-1], [])
                ending = [name for name in base if name == tail or name.endswith(f"/{tail}")]
                closer = [n for n in ending if any(n.startswith(f"{one}/") for one in near)]
                if len(ending) == 1 or len(closer) == 1:
                    return self._names[(ending if len(ending) == 1 else closer)[0]]
        return None

    def find_otherwise(self, file_name: str, near: Sequence[str]) -> str | None:
        """The picture that has this name but for capitals and its ending: p.jpg for p.PNG.

        Args: as `find` has them.
        """
        for text in _spellings(file_tree.composed(file_name)):
            found = self._by_stem.get(_stem(text), [])
            closer = [n for n in found if any(n.startswith(f"{one}/") for one in near)]
            if len(found) == 1 or len(closer) == 1:
                return self._names[(found if len(found) == 1 else closer)[0]]
        return None


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0].casefold()


def _spellings(text: str) -> list[str]:
    """What a file name can mean: as it is, with other slashes, as a part of an address."""
    plain = [text, text.replace("\\", "/")]
    address = urllib.parse.unquote(plain[-1])
    plain.append(address)
    parts = urllib.parse.urlsplit(address) if "?" in address else None
    if parts:
        plain.append(parts.path)
        plain += [
            value for values in urllib.parse.parse_qs(parts.query).values() for value in values
        ]
    bare = [
        f"{os.path.dirname(one)}/{_UPLOAD.sub('', os.path.basename(one))}"
        for one in plain
        if _UPLOAD.match(os.path.basename(one))
    ]
    return list(dict.fromkeys([*plain, *bare]))


def merge_names(
    files: Sequence[CocoFile],
) -> tuple[dict[int, str], list[dict[int, int]], list[str]]:
    """One table of values for all files: the same name is the same value.

    Returns:
      Value -> name; for each file, category id -> value; and what a person should know.
    """
    used = [
        {one["category_id"] for ones in file.annotations.values() for one in ones} for file in files
    ]
    # Where ids begin at 0, all move by one: 0 is the background.
    moved = any(
        0 in ids and not _is_background(file.categories.get(0))
        for file, ids in zip(files, used, strict=True)
    )
    notes = ["a category has the id 0: each category's mask value is its id + 1"] if moved else []
    listed = sorted(set().union(*used, *(file.categories for file in files)))
    places: dict[int, int] = {}
    if listed and listed[-1] + moved > schema.LARGEST_MASK_VALUE:
        places = {number: place for place, number in enumerate(listed, 1)}
        notes = [
            f"category ids are as large as {listed[-1]}: the categories are numbered from 1, in "
            "their ids' order"
        ]
    names: dict[int, str] = {}
    values_of: dict[str, int] = {}
    tables = []
    for file, ids in zip(files, used, strict=True):
        unlisted = sorted(ids - file.categories.keys())
        if unlisted:
            notes.append(
                f"{os.path.basename(file.path)} uses the category_id "
                f"{', '.join(map(str, unlisted))}, which its categories don't list: named "
                f"{some([f'category_{number}' for number in unlisted])}"
            )
        table = {}
        for number in sorted(file.categories.keys() | ids):
            name = file.categories.get(number, f"category_{number}")
            if _is_background(name):
                table[number] = 0
                if number in ids or number:
                    notes.append(f"the category {number} {name!r} is the background, value 0")
                continue
            if number == 0 and not moved:
                continue  # a group that nothing is of, as Roboflow writes it
            value = places.get(number, number + moved)
            if number in ids or value not in names:
                known = values_of.get(name) if name in values_of else None
                if known is not None and (known in table.values()):
                    known = None  # two categories of one name in one file
                if known is None and value in names and names[value] != name:
                    value = max(names) + 1
                    notes.append(
                        f"{os.path.basename(file.path)} calls category {number} {name!r}, another "
                        f"file does not: it has the value {value}"
                    )
                value = value if known is None else known
                names[value] = name
                values_of.setdefault(name, value)
            table[number] = value
        tables.append(table)
    return names, tables, list(dict.fromkeys(notes))


def _is_background(name: str | None) -> bool:
    return name is not None and name.strip().lower().strip("_") in ("background", "bg", "unlabeled")
