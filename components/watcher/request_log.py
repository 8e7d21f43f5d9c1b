"""Reads logs of requests and answers, in whatever form they lie there.

Twice: the answers first, then the pictures of those requests whose answers don't say how the
picture looks. Nothing of a picture is kept but its numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from components.common import file_tree, picture_formats, schema
from components.common.errors import UserError
from components.watcher import log_files, payloads
from components.watcher.cloud_events import Event
from components.watcher.log_files import Predictions
from components.watcher.observer import Observer, Values
from components.watcher.table import LOOK_FEATURES, Row, Table

_AT_A_TIME = 16  # pictures
_EXAMPLES = 3  # problems that are told
_BEFORE_SINCE = "before --since"
_NO_LOG = "neither JSON lines (.json, .jsonl, .ndjson, .log), nor Parquet, nor pictures"
_Key = tuple[str, int]  # an event's id, and the picture's place in it


@dataclasses.dataclass(frozen=True)
class Which:
    """Which requests count.

    Attributes:
      since: seconds since the epoch; what came before it is left out. Where a log or a picture
        has no time, that of its file is taken.
      served_since: likewise, when the version became the stable one.
      service: name of the InferenceService; where the log names another, that is left out. Empty:
        all count.
      endpoint: of the version, as `pusher.server_files` labels it: other versions' are left out.
        Empty: all count but a canary's.
      slices: slicing feature -> its values in the data; a request's are told by headers of these
        names, and others than these values are none.
    """

    since: float = 0.0
    served_since: float = 0.0
    service: str = ""
    endpoint: str = ""
    slices: Mapping[str, Collection[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Requests:
    """What was found.

    Attributes:
      table: a row for each picture that counts.
      left_out: reason -> how many pictures, events, lines or files don't count for it.
      unreadable: how many of them could not be read.
      problems: the first that could not be read, `file:line: why`.
    """

    table: Table
    left_out: Counter[str]
    unreadable: int
    problems: list[str]


def read(paths: Sequence[str], observer: Observer, which: Which) -> Requests:
    """Reads files, and folders of files to any depth.

    Args:
      paths: JSON lines of events (`.json`, `.jsonl`, `.ndjson`, `.log`, also rotated, also with
        `.gz`), Parquet of `segline predict --beam` or of KServe's logger, and pictures.
      observer: the served version.
      which: which requests count.

    Raises:
      UserError: a path does not exist, is a file of another form, or nothing in it is of these.
    """
    return _Reader(paths, observer, which).read()


class _Reader:
    def __init__(self, paths: Sequence[str], observer: Observer, which: Which) -> None:
        files, others = _files(paths)
        if not files:
            raise UserError(f"{', '.join(paths)}: {_NO_LOG}")
        is_picture = {path: _ending(path) in picture_formats.endings() for path in files}
        self._pictures = [path for path in files if is_picture[path]]
        self._logs = [path for path in files if not is_picture[path]]
        self._observer, self._which = observer, which
        self._left_out: Counter[str] = Counter()
        if others:
            self._left_out[f"files of another kind, such as {others[0]}"] = len(others)
        self._unreadable = 0
        self._problems: list[str] = []
        self._rows: list[Row] = []
        self._values: dict[_Key, Values] = {}
        self._slices: dict[str, dict[str, str]] = {}
        self._others: set[str] = set()  # ids that another model has answered
        self._flipped: set[str] = set()  # ids whose answers are not those that the data got

    def read(self) -> Requests:
        for path in self._logs:
            names, digest = self._observer.class_names, self._observer.digest
            if predictions := log_files.predictions(path, names, digest):
                self._take_predictions(path, predictions)
        events = [path for path in self._logs if not log_files.is_predictions(path)]
        for place, event in self._events(events, told=True):
            self._take(place, event)
        missing = self._pictures_of_requests(events)
        self._look(missing, self._observer.looks, self._add)
        self._look(self._files_of_pictures(), self._observer.answers, self._append)
        for (name, _), values in self._values.items():
            if name in self._flipped:
                values = {one: values[one] for one in LOOK_FEATURES if one in values}
            self._rows.append(Row(values, self._slices.get(name, {})))
        return Requests(Table.of(self._rows), self._left_out, self._unreadable, self._problems)

    def _events(self, paths: Iterable[str], told: bool) -> Iterator[tuple[str, Event]]:
        """The events that count, each with its place; what can't be read is told once."""
        for path in paths:
            written = os.path.getmtime(path)
            for place, found in log_files.events(path):
                if isinstance(found, str):
                    if told:
                        self._bad(place, found)
                elif reason := self._why_not(found, written):
                    self._left_out[reason] += told
                else:
                    yield place, found

    def _why_not(self, event: Event, written: float) -> str:
        if self._which.service and event.service not in ("", self._which.service):
            return f"of InferenceService {event.service}, not {self._which.service}"
        if event.endpoint == "canary":
            return "of the canary"
        ours = self._which.endpoint or event.endpoint
        if event.endpoint.startswith("version-") and event.endpoint != ours:
            return "of another version"
        return self._too_old(written if event.time is None else event.time)

    def _too_old(self, time: float) -> str:
        if time < self._which.since:
            return _BEFORE_SINCE
        return "before this version was served" if time < self._which.served_since else ""

    def _take(self, place: str, event: Event) -> None:
        """An event's slices, and the values of an answer."""
        told = {
            name: event.headers[name.lower()]
            for name, known in self._which.slices.items()
            if event.headers.get(name.lower()) in known
        }
        if told:
            self._slices[event.id] = told
        if event.kind == "request":
            if payloads.asks_for_flipped(event.body):
                self._flipped.add(event.id)
            return
        try:
            answers = payloads.answers_of(
                event.body, self._observer.class_names, self._observer.max_megapixels
            )
        except payloads.OtherModelError:
            self._left_out["of another model"] += 1
            self._others.add(event.id)
        except ValueError as error:
            self._bad(place, str(error))
        else:
            for index, values in enumerate(answers):
                self._values[event.id, index] = values

    def _pictures_of_requests(self, paths: Iterable[str]) -> Iterator[tuple[str, _Key, bytes]]:
        for place, event in self._events(paths, told=False):
            if event.kind != "request" or event.id in self._others:
                continue
            try:
                found = payloads.pictures_of(event.body)
            except ValueError as error:
                self._bad(place, str(error))
                continue
            for index, picture in enumerate(found):
                if schema.BRIGHTNESS not in self._values.get((event.id, index), {}):
                    yield place, (event.id, index), picture

    def _files_of_pictures(self) -> Iterator[tuple[str, _Key, bytes]]:
        for path in self._pictures:
            # (What this version says of older ones is what it says today.)
            if os.path.getmtime(path) < self._which.since:
                self._left_out[_BEFORE_SINCE] += 1
                continue
            try:
                with open(path, "rb") as file:
                    yield path, (path, 0), self._observer.read(file.read())
            except OSError as error:
                self._bad(path, str(error))

    def _look(
        self,
        found: Iterable[tuple[str, _Key, bytes]],
        ask: Callable[[Sequence[bytes]], list[Values | str]],
        take: Callable[[_Key, Values], None],
    ) -> None:
        remaining = iter(found)
        while batch := list(itertools.islice(remaining, _AT_A_TIME)):
            answers = ask([picture for _, _, picture in batch])
            for (place, key, _), values in zip(batch, answers, strict=True):
                if isinstance(values, str):
                    self._bad(place, values)
                else:
                    take(key, values)

    def _add(self, key: _Key, values: Values) -> None:
        self._values[key] = {**self._values.get(key, {}), **values}

    def _append(self, key: _Key, values: Values) -> None:
        self._rows.append(Row(values))

    def _take_predictions(self, path: str, found: Predictions) -> None:
        reason = self._too_old(os.path.getmtime(path))
        for number, values in enumerate(found.rows, 1):
            if reason:
                self._left_out[reason] += 1
            elif isinstance(values, str):
                self._bad(f"{path}:{number}", values)
            elif not found.ours:
                self._left_out["of another model"] += 1
            else:
                self._rows.append(Row(values))

    def _bad(self, place: str, why: str) -> None:
        self._unreadable += 1
        if len(self._problems) < _EXAMPLES:
            self._problems.append(f"{file_tree.readable(place)}: {why}")


def _files(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files that are read, each once, and the names of those in folders that are not."""
    found: dict[str, str] = {}
    others = []
    for path in paths:
        if "://" in path:
            raise UserError(
                f"{path}: logs in a bucket are not read; copy them to a disk first, so that their "
                "times are kept (rclone copy)"
            )
        if os.path.isdir(path):
            for name, file in sorted(file_tree.walk(path).files.items()):
                if _is_known(name):
                    found.setdefault(os.path.realpath(file), file)
                else:
                    others.append(name)
        elif not os.path.exists(path):
            raise UserError(f"there is no file or folder {path}")
        elif _is_known(path):
            found.setdefault(os.path.realpath(path), path)
        else:
            raise UserError(f"{path}: {_NO_LOG}")
    return list(found.values()), others


def _is_known(path: str) -> bool:
    return log_files.is_log(path) or _ending(path) in picture_formats.endings()


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()
