"""When a recurring run begins: checked before anything is sent to a cluster."""

from __future__ import annotations

import dataclasses
import re

from components.common.errors import UserError

_FIELDS = (
    # name, smallest, largest, names that may stand for numbers
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    (
        "month",
        1,
        12,
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    ("day of week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHORTEST_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A cron expression of six fields, or a period.

    Attributes:
      cron: `0 0 3 * * *`, seconds first; empty: periodic.
      interval_seconds: 0: by cron.
    """

    cron: str = ""
    interval_seconds: int = 0

    def __str__(self) -> str:
        return f"cron {self.cron}" if self.cron else f"every {self.interval_seconds} s"


def parse_cron(text: str) -> Schedule:
    """Checks a cron expression as Kubeflow Pipelines takes it.

    Raises:
      UserError: says which field is wrong.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        hint = f"; perhaps '0 {text}'" if len(parts) == 5 else ""
        raise UserError(
            f"--cron: {text!r} has {len(parts)} fields, Kubeflow wants six: second, minute, "
            f"hour, day of month, month, day of week{hint}"
        )
    for part, (name, low, high, names) in zip(parts, _FIELDS, strict=True):
        for choice in part.split(","):
            if not _is_choice(choice, low, high, names):
                raise UserError(
                    f"--cron: {choice!r} is no {name}: {low} to {high}, *, a-b, or */step"
                )
    return Schedule(cron=" ".join(parts))


def parse_interval(text: str, option: str) -> Schedule:
    """Reads `90m`, `6h`, `1d`.

    Args:
      text: the interval.
      option: where it was given, for the message.

    Raises:
      UserError: it is no interval, or too short.
    """
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if not found:
        raise UserError(f"{option}: {text!r} is no interval; write 90m, 6h or 1d")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds < _SHORTEST_SECONDS:
        raise UserError(f"{option}: {text} is too short, at least {_SHORTEST_SECONDS}s")
    return Schedule(interval_seconds=seconds)


def _is_choice(text: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    body, slash, step = text.partition("/")
    if slash and not (step.isdigit() and int(step) > 0):
        return False
    if body in ("*", "?"):
        return True
    ends = [_number(end, low, names) for end in body.split("-")]
    known = [end for end in ends if end is not None and low <= end <= high]
    return 1 <= len(known) == len(ends) <= 2 and known[0] <= known[-1]


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isdigit() else None
