"""Masks from a CSV file of run lengths, as Kaggle's competitions have them."""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from components.common import file_tree, picture_formats
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import Matched, Pair, list_files
from components.datasets.picture_looks import edge_agreement, steepness
from components.datasets.sources import annotated, shapes

RUN_COLUMNS = ("encodedpixels", "rle_mask", "rle", "annotation", "segmentation", "encoded_pixels")
_IMAGE_COLUMNS = (
    "imageid",
    "id",
    "img",
    "image",
    "image_id",
    "filename",
    "file_name",
    "image_name",
)
_CLASS_COLUMNS = ("classid", "class", "class_id", "label", "category", "category_id", "cell_type")
_LONGEST = 2**31 - 1  # characters of a cell
_NOTHING = ("", "-1", "nan", "none")
_WITH_CLASS = re.compile(r"(.+?)_([^_]+)")  # 0011165.jpg_Fish
_WAYS = ("columns", "rows")
_DOUBT = 0.25  # of the votes for one direction, that the other has
_LOOKED_AT = 100  # pictures whose runs are asked for their direction
SINGLE = "object"  # the class of a file that has no column for it


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the file.

    Attributes:
      image: name of the picture.
      label: of the thing.
      runs: starts and lengths; empty: there is nothing of the kind.
    """

    image: str
    label: str
    runs: str


def delimiter_of(text: str) -> str:
    """What a table's columns are parted by: the commonest of its first line."""
    first = text.split("\n", 1)[0]
    return max("\t;,", key=first.count)


def read_rows(path: str) -> list[Row]:
    """All rows of a file.

    Raises:
      UserError: there is no such file, or it has no such columns.
    """
    csv.field_size_limit(_LONGEST)
    try:
        text = annotated.read_text(os.path.expanduser(path))
        table = csv.DictReader(io.StringIO(text), delimiter=delimiter_of(text))
        rows = list(table)
    except (OSError, csv.Error) as error:
        told = str(error).splitlines()[0]
        raise UserError(f"dataset.folder.run_lengths: {path} can't be read: {told}") from error
    columns = {str(name).strip().lower(): name for name in table.fieldnames or ()}
    runs = next((columns[name] for name in RUN_COLUMNS if name in columns), None)
    label = next((columns[name] for name in _CLASS_COLUMNS if name in columns), None)
    both = next(
        (name for key, name in columns.items() if re.fullmatch(r"image.*_(label|class.*)", key)),
        None,
    )
    image = both or next((columns[name] for name in _IMAGE_COLUMNS if name in columns), None)
    if runs is None or image is None:
        raise UserError(
            f"dataset.folder.run_lengths: {path} has the columns {', '.join(map(str, columns))}; "
            "one with the picture's name and one with its run lengths are needed, as ImageId, "
            "ClassId and EncodedPixels"
        )
    result = []
    for values in rows:
        name, kind = str(values[image]).strip(), SINGLE
        if both and (found := _WITH_CLASS.fullmatch(name)):
            name, kind = found.groups()
        elif label is not None:
            # iMaterialist adds attributes to the class: 6_13_25.
            kind = str(values[label]).strip()
        text = str(values[runs]).strip()
        result.append(Row(name, kind, "" if text.lower() in _NOTHING else text))
    return result


def _direction(runs: str, height: int, width: int) -> str:
    """Columns or rows, where most runs lie beside the one before; empty: that can't be told."""
    starts = np.array([int(one) for one in runs.replace(",", " ").split()][::2])
    steps = np.abs(np.diff(starts))
    off_columns, off_rows = np.abs(steps - height), np.abs(steps - width)
    columns = int(((off_columns < off_rows) & (off_columns <= height // 4)).sum())
    rows = int(((off_rows < off_columns) & (off_rows <= width // 4)).sum())
    return "" if max(columns, rows) < 2 or columns == rows else _WAYS[rows > columns]


def _by_edges(path: str, things: Sequence[str]) -> list[str]:
    """For a square picture, whose runs fit both ways: the way on whose edges they lie."""
    with open(path, "rb") as file, picture_formats.opened(file.read()) as image:
        grey = np.asarray(image.convert("L"), np.float32)
    fits = []
    for by_rows in (False, True):
        mask = np.zeros(grey.shape, bool)
        for runs in things:
            height, width = mask.shape
            mask |= shapes.starts_and_lengths(runs, height, width, 0, by_rows)
        fits.append(edge_agreement(steepness(grey), mask))
    return [] if fits[0] == fits[1] else [_WAYS[fits[1] > fits[0]]]


class RunLengthMasks(annotated.AnnotationFiles):
    """Masks drawn from a file's rows; 0 where there is nothing.

    Args:
      config: folder of the pictures, the file, and the labels' values.

    Attributes:
      names: mask value -> label.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self.names = {value: label for label, value in config.labels.items()}
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in read_rows(config.run_lengths or ""):
            self._rows[file_tree.composed(row.image)].append(row)

    def labels(self) -> list[str]:
        """All labels that something is of, numbers in their own order."""
        found = {row.label for rows in self._rows.values() for row in rows if row.runs}
        return sorted(
            found, key=lambda one: (not one.isdigit(), int(one) if one.isdigit() else 0, one)
        )

    def match(self) -> Matched:
        """As `MaskSource` has it."""
        images = list_files(self._config.images, "images")
        pairs, without, taken = [], [], set()
        for name, path in images.items():
            whole = file_tree.composed(name)
            base = os.path.basename(whole)
            keys = [whole, os.path.splitext(whole)[0], base, os.path.splitext(base)[0]]
            key = next((key for key in keys if key in self._rows), None)
            if key is None:
                without.append(name)
            else:
                taken.add(key)
                pairs.append(Pair(name, path, key))
        return Matched(pairs, without, [key for key in self._rows if key not in taken])

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """As `MaskSource` has it."""
        try:
            size = annotated.size_of(pair.image)
        except OSError as error:
            return b"", str(error)
        rows = [row for row in self._rows[pair.mask] if row.runs]
        return annotated.drawn(size, [functools.partial(self._thing, row, size) for row in rows])

    def _thing(self, row: Row, size: tuple[int, int]) -> shapes.Thing:
        value = self._config.labels.get(row.label)
        if value is None:
            raise shapes.ShapeError(f"its label {row.label!r} is not in dataset.folder.labels")
        first, by_rows = self._config.run_start, self._config.run_order == "rows"
        return shapes.Thing(value, shapes.starts_and_lengths(row.runs, *size, first, by_rows))

    def counted(self) -> tuple[int, str, list[str]]:
        """The first pixel's number and the direction, as the runs themselves tell them.

        Returns:
          For `run_start` and `run_order`; and what was seen, in words.
        """
        notes = []
        runs = [row.runs for rows in self._rows.values() for row in rows if row.runs]
        zero = sum(re.match(r"0\s", one) is not None for one in runs)
        notes.append(
            f"{zero} run lengths begin at 0: the first pixel has the number 0"
            if zero
            else "no run begins at 0: the first pixel has the number 1, as at Kaggle (run_start)"
        )
        votes: Counter[str] = Counter()
        for pair in self.match().pairs[:_LOOKED_AT]:
            try:
                height, width = annotated.size_of(pair.image)
                things = [row.runs for row in self._rows[pair.mask] if row.runs]
                if height == width:
                    votes.update(_by_edges(pair.image, things))
                else:
                    votes.update(filter(None, (_direction(one, height, width) for one in things)))
            except (OSError, ValueError, shapes.ShapeError):
                continue  # reading it says why
        rows, columns = votes["rows"], votes["columns"]
        by_rows = rows > columns
        if by_rows:
            notes.append(
                f"pixels are counted along the rows (run_order: rows), by {rows} of "
                f"{rows + columns} things or pictures: so one run lies beside the other, or at the "
                "picture's edges"
            )
        elif min(rows, columns) > _DOUBT * max(rows, columns) or not columns:
            notes.append(
                "nothing tells whether pixels are counted down the columns or along the rows: "
                "columns are taken, as Kaggle mostly has it (run_order: rows says otherwise); look "
                "at some pictures: segline data look"
            )
        return int(not zero), "rows" if by_rows else "columns", notes

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """As `MaskSource` has it: none."""
        del pairs
        return []

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """As `MaskSource` has it: of the picture's rows."""
        del hash_of
        content = repr((self._rows[pair.mask], sorted(self.names.items())))
        return hashlib.sha256(content.encode()).hexdigest()
