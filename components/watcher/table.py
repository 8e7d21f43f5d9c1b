"""Pictures as rows of numbers: what requests and training data are compared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from components.common import schema
from components.common.telemetry import LOOKS

# Held against the training split; all else, which the model has said, against the evaluated one.
LOOK_FEATURES = (*LOOKS, schema.HEIGHT, schema.WIDTH)


@dataclasses.dataclass(frozen=True)
class Row:
    """One picture.

    Attributes:
      values: feature -> number; those that are not known are left out.
      slices: slicing feature -> value, likewise.
    """

    values: Mapping[str, float]
    slices: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Table:
    """Many of them.

    Attributes:
      count: n.
      values: feature -> float64 [n], NaN where it is not known.
      slices: slicing feature -> str [n], empty where it is not known.
    """

    count: int
    values: dict[str, np.ndarray]
    slices: dict[str, np.ndarray]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Table:
        """Gathers rows; the features are those of all of them."""
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row.values)
        slices = dict.fromkeys(name for row in rows for name in row.slices)
        return cls(
            len(rows),
            {name: np.array([row.values.get(name, np.nan) for row in rows]) for name in names},
            {name: np.array([row.slices.get(name, "") for row in rows]) for name in slices},
        )

    def known(self, feature: str) -> np.ndarray:
        """float64, the values of a feature that are numbers."""
        values = self.values.get(feature, np.array([]))
        return values[np.isfinite(values)]

    def of_slice(self, name: str, value: str) -> Table:
        """The rows of one slice."""
        chosen = self.slices.get(name, np.full(self.count, "")) == value
        return Table(
            int(chosen.sum()),
            {feature: values[chosen] for feature, values in self.values.items()},
            {},
        )
