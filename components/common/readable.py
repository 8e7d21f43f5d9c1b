"""Values as people read them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any


def time_text(milliseconds: int) -> str:
    """Local time, `2026-01-31 14:05:09`, of milliseconds since the epoch."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M:%S")


def duration_text(seconds: float) -> str:
    """`0.2 s`, `17 s`, `4 min 3 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def counted(count: int, thing: str) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def size_text(size: int) -> str:
    """`512 B`, `3.4 MB`, `12 GB`: of bytes, in powers of 1,000."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if value < 9.95 and size >= 1000 else f"{value:.0f} {units[0]}"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """`{"encoder": {"alpha": 1}}` as `{"encoder.alpha": 1}`; lists and None become JSON text."""
    result: dict[str, bool | int | float | str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flatten(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            result[f"{prefix}{key}"] = value if plain else json.dumps(value)
    return result


def unfold(value: Any) -> Any:
    """Text that is JSON as what it says, also within JSON; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, dict):
        return {key: unfold(part) for key, part in value.items()}
    if isinstance(value, list):
        return [unfold(part) for part in value]
    return value
