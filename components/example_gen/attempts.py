"""Attempts at output files, of which one is published.

A Beam engine may do a piece of work again, and the first attempt may go on beside the second
(a worker that was only thought lost), or after the step's end. So each attempt writes files
of its own name, outside of the folders that other steps read; the step, which is one, gives
the names that count, when Beam's work is over.

In `<artifact>/.attempts`, for each attempt at `<artifact>/Split-<split>/<name>`:
`<split>-<name>.<attempt>`, its examples; `….aside`, what was set aside, if any; `….json`,
what became of the examples, which comes last and says that the others are whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from components.example_gen import quarantine

_FOLDER = ".attempts"
_AT_ONCE = 16  # renames: a bucket's take long
_TRIALS = 5


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at an output file.

    Attributes:
      path: of the output file, `<artifact>/Split-<split>/<name>`.
      records: where the examples are written.
    """

    path: str
    records: str

    @property
    def aside(self) -> str:
        """Where the examples that are set aside are written."""
        return f"{self.records}.aside"

    @property
    def mark(self) -> str:
        """Where it is put down that the attempt is complete."""
        return f"{self.records}.json"

    def set_aside(self, records: Sequence[bytes]) -> None:
        """Writes what is set aside, from `quarantine.to_record`; no file where there is none."""
        if records:
            quarantine.write_records(self.aside, records)

    def commit(self, outcome: quarantine.Outcome) -> None:
        """Ends the attempt, whose files are all written.

        Args:
          outcome: what became of the examples.
        """
        half = f"{self.mark}.half"
        with tf.io.gfile.GFile(half, "w") as file:
            json.dump(dataclasses.asdict(outcome), file, ensure_ascii=False)
        tf.io.gfile.rename(half, self.mark, overwrite=True)


def open_folder(artifact_uri: str) -> None:
    """Makes the place for attempts; without it a late one fails, and leaves nothing behind."""
    tf.io.gfile.makedirs(os.path.join(artifact_uri, _FOLDER))


def begin(path: str) -> Attempt:
    """A new attempt at an output file."""
    folder, name = os.path.split(path)
    artifact, split = os.path.split(folder)
    name = f"{split.removeprefix('Split-')}-{name}.{uuid.uuid4().hex}"
    return Attempt(path, os.path.join(artifact, _FOLDER, name))


def choose(
    artifact_uri: str, paths: Sequence[str]
) -> tuple[list[Attempt], list[quarantine.Outcome]]:
    """A complete attempt at each of the output files, and what became of its examples.

    Raises:
      RuntimeError: there is none for a file, or two have read other examples.
    """
    folder = os.path.join(artifact_uri, _FOLDER)
    marks: dict[str, list[str]] = {}
    for name in sorted(tf.io.gfile.listdir(folder)):
        if name.endswith(".json"):
            records = os.path.join(folder, name.removesuffix(".json"))
            marks.setdefault(records.rpartition(".")[0], []).append(records)
    attempts, outcomes, lost = [], [], []
    for path in paths:
        stem = begin(path).records.rpartition(".")[0]
        complete = [Attempt(path, records) for records in marks.get(stem, [])]
        if not complete:
            lost.append(path)
            continue
        found = [_read(attempt.mark) for attempt in complete]
        if any(one != found[0] for one in found):
            raise RuntimeError(
                f"{path}: {len(complete)} attempts at it have read different examples: has the "
                "dataset changed meanwhile?"
            )
        attempts.append(complete[0])
        outcomes.append(found[0])
    if lost:
        raise RuntimeError(f"{len(lost)} of {len(paths)} files were not written: {lost[:3]}")
    return attempts, outcomes


def publish(artifact_uri: str, attempts: Sequence[Attempt]) -> None:
    """Gives the chosen attempts' files their names, and removes all other attempts'."""
    renames = []
    for attempt in attempts:
        renames.append((attempt.records, attempt.path))
        if tf.io.gfile.exists(attempt.aside):
            tf.io.gfile.makedirs(os.path.join(artifact_uri, quarantine.FOLDER))
            renames.append((attempt.aside, quarantine.aside_path(attempt.path)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(tf.io.gfile.rename, *pair, overwrite=True) for pair in renames]:
            done.result()
    _remove(os.path.join(artifact_uri, _FOLDER))


def _remove(folder: str) -> None:
    """Removes a folder in which a late attempt may still begin files."""
    for trial in range(_TRIALS):
        try:
            tf.io.gfile.rmtree(folder)
            return
        except tf.errors.OpError:
            if trial == _TRIALS - 1:
                raise


def _read(path: str) -> quarantine.Outcome:
    with tf.io.gfile.GFile(path) as file:
        return quarantine.Outcome.from_json(json.load(file))
