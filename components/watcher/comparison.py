"""What has moved: further than a threshold, and further than chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from components.watcher import bootstrap
from components.watcher.distance import Buckets, divergence
from components.watcher.reference import Reference
from components.watcher.table import LOOK_FEATURES, Table

# Of all features of all slices together, at most: how often undrifted requests seem to have moved.
FALSE_ALARMS = 0.03


@dataclasses.dataclass(frozen=True)
class Finding:
    """One feature of the requests against the same of the reference.

    Attributes:
      feature: its name.
      slice: `species: cat`; empty: all requests.
      divergence: Jensen-Shannon, 0 (the same) to 1 (nothing in common).
      chance: the divergence that as many undrifted requests hardly ever exceed.
      threshold: the one of the config.
      requests: how many.
      pictures: how many in the reference.
      before: mean of the reference.
      now: mean of the requests.
    """

    feature: str
    slice: str
    divergence: float
    chance: float
    threshold: float
    requests: int
    pictures: int
    before: float
    now: float

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.feature} of {self.slice}" if self.slice else self.feature

    @property
    def moved(self) -> bool:
        """Whether it is more than chance."""
        return self.divergence > self.chance

    @property
    def drifted(self) -> bool:
        """Whether it is so much that retraining has a reason."""
        return self.moved and self.divergence > self.threshold


def compare(
    reference: Reference,
    requests: Table,
    max_divergence: float,
    least: int,
    seed: int = 0,
) -> list[Finding]:
    """Compares all features that requests tell, of all of them and by slice.

    Args:
      reference: the served version's data.
      requests: what it was asked.
      max_divergence: threshold of the config.
      least: requests of a slice; fewer are not judged.
      seed: of the bootstrap.

    Returns:
      The largest divergence first, all requests before the slices.
    """
    pairs = [
        (name, feature, before[feature], now[feature])
        for name, before, now in _pairs(reference, requests, least)
        for feature in before
    ]
    buckets = [Buckets.of(before) for _, _, before, _ in pairs]
    counts = [
        (one.count(before), one.count(now))
        for one, (_, _, before, now) in zip(buckets, pairs, strict=True)
    ]
    limits = bootstrap.limits(
        [before for before, _ in counts],
        [len(now) for _, _, _, now in pairs],
        FALSE_ALARMS,
        np.random.default_rng(seed),
    )
    found = [
        Finding(
            feature=feature,
            slice=name,
            divergence=float(divergence(*counted)),
            chance=float(limit),
            threshold=max_divergence,
            requests=len(now),
            pictures=len(before),
            before=float(before.mean()),
            now=float(now.mean()),
        )
        for (name, feature, before, now), counted, limit in zip(pairs, counts, limits, strict=True)
    ]
    order = {name: place for place, name in enumerate(dict.fromkeys(one.slice for one in found))}
    return sorted(found, key=lambda one: (order[one.slice], -one.divergence))


_Columns = dict[str, np.ndarray]


def _pairs(
    reference: Reference, requests: Table, least: int
) -> Iterator[tuple[str, _Columns, _Columns]]:
    """Slice, columns of the reference, columns of the requests; all requests first."""
    yield "", *_columns(reference.trained, reference.judged, requests, least)
    for name, values in requests.slices.items():
        known, counts = np.unique(values, return_counts=True)
        for value in known[(known != "") & (counts >= least)].tolist():
            trained, judged, told = (
                one.of_slice(name, value) for one in (reference.trained, reference.judged, requests)
            )
            before, now = _columns(trained, judged, told, least)
            if before:
                yield f"{name}: {value}", before, now


def _columns(
    trained: Table, judged: Table, requests: Table, least: int
) -> tuple[_Columns, _Columns]:
    before, now = {}, {}
    for feature in dict.fromkeys((*trained.values, *judged.values)):
        known = (trained if feature in LOOK_FEATURES else judged).known(feature)
        told = requests.known(feature)
        if len(told) >= least and len(known):
            before[feature], now[feature] = known, told
    return before, now
