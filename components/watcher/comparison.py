"""What has moved: further than a threshold, and further than chance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from components.watcher import bootstrap
from components.watcher.distance import divergences
from components.watcher.reference import Reference
from components.watcher.table import LOOK_FEATURES, Table

# Of all features of all slices together, at most: how often undrifted requests seem to have moved.
FALSE_ALARMS = 0.03
_DRAWS_ABOVE = 2  # the limit, so that it does not hang on one of them
_MOST = 5000  # drawn at once; more requests would make the limit smaller still


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

    What chance gives at so many requests is found by a bootstrap (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 16): reference and requests are both drawn from
    the reference, again and again.

    Args:
      reference: the served version's data.
      requests: what it was asked.
      max_divergence: threshold of the config.
      least: requests of a slice; fewer are not judged.
      seed: of the bootstrap.

    Returns:
      The largest divergence first, all requests before the slices.
    """
    pairs = list(_pairs(reference, requests, least))
    count = sum(len(before) for _, before, _ in pairs)
    rng = np.random.default_rng(seed)
    found = []
    for name, before, now in pairs:
        sizes = {feature: len(values) for feature, values in now.items()}
        limits = chance(before, sizes, count, rng)
        told = divergences(before, now)
        findings = [
            Finding(
                feature=feature,
                slice=name,
                divergence=told[feature],
                chance=limits[feature],
                threshold=max_divergence,
                requests=len(now[feature]),
                pictures=len(before[feature]),
                before=float(before[feature].mean()),
                now=float(now[feature].mean()),
            )
            for feature in before
        ]
        found += sorted(findings, key=lambda one: -one.divergence)
    return found


_Columns = dict[str, np.ndarray]


def _pairs(
    reference: Reference, requests: Table, least: int
) -> Iterator[tuple[str, _Columns, _Columns]]:
    """Slice, columns of the reference, columns of the requests; all requests first."""
    yield "", *_columns(reference.trained, reference.judged, requests, least)
    for name, values in requests.slices.items():
        for value in sorted(set(values.tolist()) - {""}):
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


def chance(
    before: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    count: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """The divergences that undrifted requests hardly ever exceed.

    Args:
      before: columns of the reference.
      sizes: feature -> number of requests.
      count: features that are compared, of all slices together.
      rng: of the bootstrap.

    Returns:
      feature -> divergence.
    """
    above = FALSE_ALARMS / max(count, 1)  # Bonferroni's correction
    draws = math.ceil(_DRAWS_ABOVE / above)
    found = {}
    for feature, values in before.items():
        ascending = np.sort(values)
        counts = len(values), min(sizes[feature], _MOST)
        told = [
            bootstrap.divergences_of(ascending, *drawn)
            for drawn in bootstrap.draw(len(values), counts, draws, rng)
        ]
        found[feature] = float(np.quantile(np.concatenate(told), 1 - above))
    return found
