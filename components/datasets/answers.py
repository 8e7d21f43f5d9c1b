"""What a user says where the data does not: `segline init`'s options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from components.datasets.config import Color


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a user says where the data does not: `segline init`'s options.

    Attributes:
      recode: value in a file -> what is meant.
      ignore: values that don't count.
      instances: whether values are numbers of things, of one class; None: not told.
      colors: the colours, or levels, of masks with smooth or lossy edges.
    """

    recode: Mapping[float, int] = dataclasses.field(default_factory=dict)
    ignore: Sequence[int] | None = None
    instances: bool | None = None
    colors: Sequence[Color] = ()
