"""Lists and tables that say which picture is in which split."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence

from components.common import file_tree, schema
from components.common.errors import UserError
from components.common.text_lists import NO, YES, lines_of, may_be_comment, rows_of
from components.datasets.config import FolderConfig, SplitName
from components.datasets.pairs import Pair, some
from components.datasets.splits.split_words import split_word

TABLES = (".csv", ".tsv", ".json")
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "phase", "usage", "mode", "fold")
_COLUMNS = frozenset(
    (*_SPLIT_COLUMNS, "image", "images", "img", "image_path", "img_path", "image_name")
    + ("image_id", "imageid", "file", "files", "filename", "file_name", "filepath", "path")
    + ("name", "id", "mask", "masks", "mask_path", "label", "labels", "annotation", "class")
)
# Columns of yes and no: fastai's is_valid, is_test, …
_YES_COLUMNS = {
    **dict.fromkeys(("is_test", "test", "is_holdout"), schema.TEST),
    **dict.fromkeys(("is_valid", "is_val", "is_validation", "valid", "val"), schema.VALIDATION),
    **dict.fromkeys(("is_train", "is_training", "train"), schema.TRAIN),
}
Line = list[str]  # what a line may call its picture: all of it, or one of its columns


def split(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    """Split -> its pairs; without a list of train, what no list names is train.

    Raises:
      UserError: a list names what isn't there, or two name the same picture.
    """
    known = _Known(pairs)
    result: dict[str, list[Pair]] = {name: [] for name in schema.SPLITS}
    taken: dict[str, SplitName] = {}
    for name, path in config.lists.items():
        found = known.named(read_list(path, name))
        found.check(f"dataset.folder.lists: {path}", config.images)
        for pair in found.pairs:
            if taken.get(pair.name, name) != name:
                other = taken[pair.name]
                raise UserError(
                    f"dataset.folder.lists: {pair.name} is in {config.lists[other]} ({other}) and "
                    f"in {path} ({name})"
                )
            elif pair.name not in taken:
                taken[pair.name] = name
                result[name].append(pair)
    if schema.TRAIN not in config.lists and schema.TRAIN not in config.borrow:
        result[schema.TRAIN] = [pair for pair in pairs if pair.name not in taken]
    return result


def read_list(path: str, split_name: str | None = None, key: str = "lists") -> list[Line]:
    """The lines of a list of pictures, or rows of a table, without comments and headings.

    Args:
      path: a text file; .csv, .tsv and .json are tables.
      split_name: of a table with a column of splits, the rows of this one.
      key: the config's, for a message.

    Raises:
      UserError: there is no such file, or it is no text.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            text = file_tree.decoded(file.read())
    except OSError as error:
        raise UserError(f"dataset.folder.{key}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"dataset.folder.{key}: {path} is no text in UTF-8") from error
    if path.lower().endswith(".json"):
        return _of_json(text, split_name)
    if path.lower().endswith(TABLES):
        return _rows(text, split_name)
    return [[line, *re.split(r"[\t,;]|\s+", line)[:1]] for line in lines_of(text)]


def splits_of_table(path: str) -> set[str]:
    """The splits that a table's column of splits names; none: it has no such column.

    Raises:
      UserError: as `read_list` has it.
    """
    return {name for name in schema.SPLITS if read_list(path, name) != read_list(path)} & {
        name for name in schema.SPLITS if read_list(path, name)
    }


def _rows(text: str, split_name: str | None) -> list[Line]:
    rows = rows_of(text)
    heads = [cell.lower() for cell in rows[0]] if rows else []
    if not any(head in _COLUMNS for head in heads):
        return rows
    rows = rows[1:]
    if split_name is None:
        return rows
    told = [_split_of_row(heads, row) for row in rows]
    if not any(told):
        return rows
    return [row for row, of in zip(rows, told, strict=True) if of == split_name]


def _split_of_row(heads: Sequence[str], row: Sequence[str]) -> str | None:
    """The split that a row's columns name, or say yes to; no to all: it is train."""
    cells = dict(zip(heads, (cell.lower() for cell in row), strict=False))
    for column in _SPLIT_COLUMNS:
        if column in cells and (found := split_word(cells[column])):
            return found
    said = {name: cells[name] for name in _YES_COLUMNS if cells.get(name) in (*YES, *NO)}
    yes = [_YES_COLUMNS[name] for name, cell in said.items() if cell in YES]
    if not said or len(set(yes)) > 1:
        return None
    if yes:
        return yes[0]
    return None if schema.TRAIN in map(_YES_COLUMNS.get, said) else schema.TRAIN


def _of_json(text: str, split_name: str | None) -> list[Line]:
    """What JSON lists: `{"train": [...], "val": [...]}`, or several of these (folds): the first."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if isinstance(data, list) and data and isinstance(data[0], dict):
        data = data[0]
    if not isinstance(data, dict):
        return []
    found = []
    for key, names in data.items():
        told = split_word(key)
        if told and isinstance(names, list) and split_name in (None, told):
            found += [line for line in map(_line_of, names) if line]
    return found


def _line_of(entry: object) -> Line:
    if isinstance(entry, dict):
        cells = [entry[key] for key in entry if str(key).lower() in _COLUMNS]
        return [cell for cell in cells if isinstance(cell, str)]
    return [entry] if isinstance(entry, str) else []


@dataclasses.dataclass(frozen=True)
class Named:
    """What a list names.

    Attributes:
      pairs: in its order.
      missing: what it calls pictures that are not there.
      ambiguous: what may be one of several pictures -> these.
    """

    pairs: list[Pair]
    missing: list[str]
    ambiguous: dict[str, list[Pair]]

    def check(self, where: str, images: str) -> None:
        """Stops where a name is not one picture's.

        Args:
          where: the config's key and the list's path.
          images: folder of the pictures.

        Raises:
          UserError: says which.
        """
        if self.missing:
            raise UserError(
                f"{where} names {len(self.missing)} pictures that are not in {images}, or have "
                f"no mask: {some(self.missing)}"
            )
        if self.ambiguous:
            text, pairs = next(iter(self.ambiguous.items()))
            raise UserError(
                f"{where} has {len(self.ambiguous)} names that are ambiguous, such as {text}: it "
                f"may be {some([pair.name for pair in pairs])}; write the paths below {images}"
            )


class _Known:
    """Finds a picture by what a list calls it."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._by_name: dict[str, list[Pair]] = {}
        self._by_end: dict[str, list[Pair]] = {}
        for pair in pairs:
            whole = file_tree.composed(pair.name)
            for name in (whole, os.path.splitext(whole)[0]):
                self._by_name.setdefault(name, []).append(pair)
                parts = name.split("/")
                for start in range(len(parts)):
                    self._by_end.setdefault("/".join(parts[start:]), []).append(pair)

    def named(self, lines: Sequence[Line], near: str | None = None) -> Named:
        """The pictures that a list's lines mean.

        Args:
          lines: from `read_list`.
          near: folder below that of the pictures, whose own are meant first; None: none.
        """
        result = Named([], [], {})
        for line in lines:
            found = self._find(line, near)
            if len(found) == 1:
                result.pairs.append(found[0])
            elif found:
                result.ambiguous[line[0]] = found
            elif not may_be_comment(line[0]):
                result.missing.append(line[0])
        return result

    def _find(self, line: Line, near: str | None) -> list[Pair]:
        """The picture that a line means, by its path, or its end; or all that it may mean."""
        several: list[Pair] = []
        for text in line:
            parts = [
                part
                for part in file_tree.composed(text.strip("\"'")).replace("\\", "/").split("/")
                if part not in ("", ".", "..")
            ]
            if near and (own := self._by_name.get("/".join([near, *parts]))):
                return own
            # A list may begin anywhere above the pictures' folder, or at the disk's root.
            for start in range(len(parts)):
                wanted = "/".join(parts[start:])
                found = self._by_end.get(wanted, [])
                own = [pair for pair in found if near and _is_below(pair, near)]
                for one in (own or self._by_name.get(wanted, []), found):
                    if len(one) == 1:
                        return one
                several = several or own or found
        return several


def _is_below(pair: Pair, folder: str) -> bool:
    return file_tree.composed(pair.name).startswith(f"{folder}/")


def listed_only(
    pairs: Sequence[Pair], lists: Sequence[tuple[str, str]]
) -> tuple[list[Pair], list[str]]:
    """The pairs that lists name, and what they name that is not there, or not clear.

    Args:
      pairs: all of them.
      lists: splits and their files.
    """
    known = _Known(pairs)
    named = [known.named(read_list(path, name)) for name, path in lists]
    found = {pair.name for one in named for pair in one.pairs}
    missing = [text for one in named for text in (*one.missing, *one.ambiguous)]
    return [pair for pair in pairs if pair.name in found], missing


def named_by(pairs: Sequence[Pair], path: str, key: str, near: str | None) -> Named:
    """The pairs that one list names.

    Args:
      pairs: all of them.
      path: of the list.
      key: the config's, for a message.
      near: folder below that of the pictures, whose own are meant first; None: none.

    Raises:
      UserError: the list can't be read.
    """
    return _Known(pairs).named(read_list(path, key=key), near)
