"""Files of logs, line by line and row by row."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from components.common import schema
from components.watcher import cloud_events, payloads
from components.watcher.cloud_events import Event

_LINES = (".json", ".jsonl", ".ndjson", ".log")
_PARQUET = ".parquet"
# components/predictor/batch.py: arrow_schema
_PREDICTED = ("height", "width", "confidence", "error")
# kserve/kserve pkg/logger/marshaller_record.go
_RECORD = ("id", "reqType", "bytes", "inferenceService", "endpoint", "metadata")


def is_log(path: str) -> bool:
    """Whether a file has the ending of one."""
    return path.lower().removesuffix(".gz").endswith(_LINES) or _is_parquet(path)


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
        with open_(path, "rt", encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                place = f"{path}:{number}"
                try:
                    for event in cloud_events.parse_line(line):
                        yield place, event
                except ValueError as error:
                    yield place, str(error)
    except (OSError, EOFError, zlib.error) as error:
        yield f"{path}:{number + 1}", f"it can't be read further: {error}"


def predictions(path: str, class_names: Sequence[str]) -> Iterator[dict[str, float] | str] | None:
    """The rows of `segline predict --beam`; None: it is no file of it.

    Returns:
      For each picture size, confidence and class shares (the size alone, where it is of other
      classes), or why it has no prediction.
    """
    return _predicted(path, class_names) if is_predictions(path) else None


def _predicted(path: str, class_names: Sequence[str]) -> Iterator[dict[str, float] | str]:
    shares = [schema.share_feature(name) for name in class_names]
    columns = _columns(path)
    ours = {name for name in columns if name.startswith(schema.share_feature(""))} == set(shares)
    wanted = (schema.CONFIDENCE, *shares) if ours else ()
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
