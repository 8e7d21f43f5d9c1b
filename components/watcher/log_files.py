"""Files of logs, line by line and row by row."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from components.common import file_tree, schema
from components.common.model_digest import FLIP_KEY, MODEL_KEY
from components.watcher import cloud_events, payloads
from components.watcher.cloud_events import Event

# Rotated, it has numbers or a date behind: `a.log.1`, `a.jsonl-20261129.gz`.
_LINES = re.compile(r"\.(json|jsonl|ndjson|log)([.-]\d+)*(\.gz)?$", re.IGNORECASE)
_PARQUET = ".parquet"
# components/predictor/batch.py: arrow_schema
_PREDICTED = ("height", "width", "confidence", "error")
# kserve/kserve pkg/logger/marshaller_record.go
_RECORD = ("id", "reqType", "bytes", "inferenceService", "endpoint", "metadata")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A file of `segline predict --beam`.

    Attributes:
      ours: whether the model in question has made it, as far as the file tells.
      rows: for each picture size, confidence and class shares, or why it has no prediction. The
        size alone, where the model is another, or mirror images were asked too.
    """

    ours: bool
    rows: Iterator[dict[str, float] | str]


def is_log(path: str) -> bool:
    """Whether a file has the ending of one."""
    return _LINES.search(path) is not None or _is_parquet(path)


def is_predictions(path: str) -> bool:
    """Whether it is Parquet of `segline predict --beam`."""
    return _is_parquet(path) and set(_PREDICTED) <= _columns(path)


def events(path: str) -> Iterator[tuple[str, Event | str]]:
    """The events of a file.

    Yields:
      Where each stands, `file:line`, and the event, or why it can't be read.
    """
    if _is_parquet(path):
        yield from _records(path)
        return
    open_ = gzip.open if path.lower().endswith(".gz") else open
    number = 0
    try:
        with open_(path, "rb") as start:
            encoding = file_tree.encoding_of(start.read(2))
        with open_(path, "rt", encoding=encoding, errors="replace") as file:
            for number, text in _texts(file):
                for event in cloud_events.parse_text(text) if text.strip() else ():
                    yield f"{path}:{number}", event
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        yield f"{path}:{number + 1}", f"it can't be read further: {error}"


def _texts(file: TextIO) -> Iterator[tuple[int, str]]:
    """Number and text of each line; of a file that is indented for people, all of it."""
    first = file.readline()
    if first.strip() not in ("[", "{"):
        yield 1, first
        yield from enumerate(file, 2)
        return
    whole = first + file.read()
    try:
        json.loads(whole)
        yield 1, whole
    except (ValueError, RecursionError):
        yield from enumerate(whole.splitlines(), 1)


def predictions(path: str, class_names: Sequence[str], model: str) -> Predictions | None:
    """Reads a file of `segline predict --beam`; None: it is none.

    Args:
      path: of the file.
      class_names: of the model in question.
      model: its digest, which files of earlier versions of segline do not tell.
    """
    if not is_predictions(path):
        return None
    found = pq.read_schema(path)
    shares = [schema.share_feature(name) for name in class_names]
    told = {key.decode(): value.decode() for key, value in (found.metadata or {}).items()}
    ours = told.get(MODEL_KEY, model) == model and set(shares) == {
        name for name in found.names if name.startswith(schema.share_feature(""))
    }
    judged = ours and told.get(FLIP_KEY) != "true"
    return Predictions(ours, _predicted(path, (schema.CONFIDENCE, *shares) if judged else ()))


def _predicted(path: str, wanted: Sequence[str]) -> Iterator[dict[str, float] | str]:
    for row in _rows(path, [*_PREDICTED, *wanted]):
        if isinstance(row, str) or row["error"] is not None:
            yield row if isinstance(row, str) else str(row["error"])
            continue
        try:
            values = {name: float(row[name]) for name in (schema.HEIGHT, schema.WIDTH, *wanted)}
            payloads.check(values.values())
            yield values
        except (TypeError, ValueError):
            yield "a row without numbers that a model gives"


def _records(path: str) -> Iterator[tuple[str, Event | str]]:
    if not set(_RECORD) <= _columns(path):
        yield path, "Parquet neither of segline predict nor of KServe's logger"
        return
    for number, row in enumerate(_rows(path, _RECORD), 1):
        place = f"{path}:{number}"
        try:
            yield place, row if isinstance(row, str) else cloud_events.parse(row)
        except ValueError as error:
            yield place, str(error)


def _rows(path: str, columns: Sequence[str]) -> Iterator[dict | str]:
    """The rows; at last why there are no more, where the file is damaged."""
    try:
        file = pq.ParquetFile(path)
        if file.num_row_groups:  # without one, some versions of pyarrow can't iterate
            for batch in file.iter_batches(batch_size=64, columns=list(dict.fromkeys(columns))):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        yield f"it can't be read further: {error}"


def _columns(path: str) -> set[str]:
    try:
        return set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return set()


def _is_parquet(path: str) -> bool:
    return os.path.splitext(path)[1].lower() == _PARQUET
