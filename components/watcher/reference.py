"""What requests are held against: pictures that the served version was trained and judged on.

How pictures look is taken from the training split. What the model says is taken from the evaluated
one: of pictures that it has learned by heart it says other things than of new ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from components.common import schema
from components.common.errors import UserError
from components.common.examples import split_files
from components.common.whole_files import write_whole
from components.watcher.observer import Observer, Values
from components.watcher.table import Row, Table

_FORM = 2  # of the file, and of what the numbers mean
_AT_A_TIME = 16  # pictures
_PARTS, _REFUSED = ("trained", "judged"), "refused"


@dataclasses.dataclass(frozen=True)
class Reference:
    """Pictures of the served version's data.

    Attributes:
      trained: of the training split, how they look.
      judged: of the evaluated split, what the model says of them too.
      refused: how many of both the version can't take.
    """

    trained: Table
    judged: Table
    refused: int = 0

    def slices(self) -> dict[str, set[str]]:
        """Slicing features, and the values that the data has of each."""
        found: dict[str, set[str]] = {}
        for table in (self.trained, self.judged):
            for name, values in table.slices.items():
                found.setdefault(name, set()).update(values.tolist())
        return found


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the data of a version lies.

    Attributes:
      examples: folder of the Examples.
      evaluated: name of the split that the version was judged on.
      slice_by: slicing features of the examples.
    """

    examples: str
    evaluated: str
    slice_by: tuple[str, ...]


def reference_of(
    version: str, data: Data, observer: Observer, count: int, folder: str
) -> Reference:
    """Asks the version about its own data, or reads what it has said before.

    Args:
      version: its number.
      data: what it was made from.
      observer: the version.
      count: pictures of each split.
      folder: where the result is kept.

    Raises:
      UserError: the examples are gone, or none can be asked; the folder can't be written.
    """
    sliced = hashlib.sha256("\n".join(sorted(data.slice_by)).encode()).hexdigest()[:8]
    path = os.path.join(folder, f"{version}-{count}-{sliced}-{_FORM}.npz")
    if tf.io.gfile.exists(path) and (kept := _load(path)):
        return kept
    trained, refused = _ask(data, schema.TRAIN, count, observer.looks)
    judged, also_refused = _ask(data, data.evaluated, count, observer.answers)
    found = Reference(trained, judged, refused + also_refused)
    _save(path, found)
    _forget(folder, version)
    return found


def _ask(
    data: Data, split: str, count: int, ask: Callable[[Sequence[bytes]], list[Values | str]]
) -> tuple[Table, int]:
    """Rows, and how many examples have none."""
    rows, reasons = [], []
    records = _evenly(split_files(data.examples, split), count)
    while batch := list(itertools.islice(records, _AT_A_TIME)):
        features = [tf.train.Example.FromString(record).features.feature for record in batch]
        answers = ask([feature[schema.IMAGE].bytes_list.value[0] for feature in features])
        for feature, values in zip(features, answers, strict=True):
            if isinstance(values, str):
                reasons.append(values)
                continue
            slices = {name: _text(feature[name]) for name in data.slice_by if name in feature}
            rows.append(Row(values, slices))
    if rows:
        return Table.of(rows), len(reasons)
    if reasons:
        raise UserError(f"{data.examples}: of split {split} none can be asked: {reasons[0]}")
    raise UserError(
        f"{data.examples}: the examples that the version was made from are gone; what it "
        "serves can be watched again after the next run"
    )


def _evenly(files: Sequence[str], count: int) -> Iterator[bytes]:
    """So many records of all files, evenly spread."""
    if not files:
        return
    records = tf.data.TFRecordDataset(files, "GZIP")
    total = sum(1 for _ in records)
    chosen = {int(place) for place in np.linspace(0, total, min(count, total), endpoint=False)}
    for number, record in enumerate(records.as_numpy_iterator()):
        if number in chosen:
            yield record


def _text(feature: tf.train.Feature) -> str:
    values = feature.bytes_list.value or feature.int64_list.value
    value = values[0] if values else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _save(path: str, found: Reference) -> None:
    arrays = {_REFUSED: np.array(found.refused)}
    for part in _PARTS:
        table: Table = getattr(found, part)
        arrays |= {f"{part}/values/{name}": values for name, values in table.values.items()}
        arrays |= {f"{part}/slices/{name}": values for name, values in table.slices.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    # As a whole: another watch may look for it, or be making the same.
    write_whole(path, buffer.getvalue(), folders=True)


def _forget(folder: str, version: str) -> None:
    """Removes what other versions have said: each can be asked again."""
    for name in tf.io.gfile.listdir(folder):
        if ".npz" in name and not name.startswith(f"{version}-"):
            with contextlib.suppress(tf.errors.OpError):  # another watch has, too
                tf.io.gfile.remove(os.path.join(folder, name))


def _load(path: str) -> Reference | None:
    """What was kept; None: it is damaged, or gone meanwhile."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            arrays = dict(np.load(io.BytesIO(file.read())))
        return _reference(arrays)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, tf.errors.OpError):
        return None


def _reference(arrays: Mapping[str, np.ndarray]) -> Reference:
    tables = {}
    for part in _PARTS:
        values, slices = (
            {
                name.removeprefix(begin): array
                for name, array in arrays.items()
                if name.startswith(begin)
            }
            for begin in (f"{part}/values/", f"{part}/slices/")
        )
        tables[part] = Table(len(values[schema.HEIGHT]), values, slices)
    return Reference(**tables, refused=int(arrays[_REFUSED]))
