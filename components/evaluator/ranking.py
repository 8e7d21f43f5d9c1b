"""The best, the median and the worst pictures of a split, found while it is evaluated."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.common import confusion, schema

PICTURES = 4  # of each kind
_SAMPLE = 4096  # pictures that the median is taken from


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Pictures by their own mean IoU: (example id, mean IoU) pairs.

    Attributes:
      best: the highest first.
      median: around the middle, the highest first.
      worst: the lowest first.
    """

    best: tuple[tuple[str, float], ...]
    median: tuple[tuple[str, float], ...]
    worst: tuple[tuple[str, float], ...]

    def to_json(self) -> str:
        """JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Ranking:
        """Inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{key: tuple((i, s) for i, s in pairs) for key, pairs in values.items()})


class RankPictures(beam.CombineFn):
    """Ranks pictures by their own mean IoU.

    Best and worst are exact. The median is that of up to 4,096 pictures, chosen by
    the hash of their ids, so that memory does not grow with the split; below that
    number it is exact. The result depends neither on order nor on bundles.

    Args:
      key: what the ranking is published as: JSON in UTF-8.
    """

    def __init__(self, key: tfma.metrics.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> list[tuple[float, str]]:
        """(mean IoU, example id) pairs."""
        return []

    def add_input(
        self, accumulator: list[tuple[float, str]], element: tfma.metrics.StandardMetricInputs
    ) -> list[tuple[float, str]]:
        """Adds one picture; one without any pixel that counts has no rank."""
        predictions = element.get_predictions(model_name=self._key.model_name)
        score = confusion.mean_iou(predictions[schema.CONFUSION_MATRIX])
        if not math.isnan(score):
            example_id = np.ravel(predictions[schema.EXAMPLE_ID])[0]
            accumulator.append((score, example_id.decode(errors="replace")))
        return _thinned(accumulator) if len(accumulator) > 2 * _SAMPLE else accumulator

    def merge_accumulators(
        self, accumulators: Iterable[list[tuple[float, str]]]
    ) -> list[tuple[float, str]]:
        """Brings workers' pictures together."""
        return _thinned([pair for part in accumulators for pair in part])

    def extract_output(self, accumulator: list[tuple[float, str]]) -> dict:
        """The ranking, by the key."""
        ranked = sorted(accumulator)
        sampled = sorted(_sampled(accumulator))
        start = max(0, (len(sampled) - PICTURES) // 2)
        ranking = Ranking(
            best=_pairs(reversed(ranked[-PICTURES:])),
            median=_pairs(reversed(sampled[start : start + PICTURES])),
            worst=_pairs(ranked[:PICTURES]),
        )
        return {self._key: ranking.to_json().encode()}


def _pairs(ranked: Iterable[tuple[float, str]]) -> tuple[tuple[str, float], ...]:
    return tuple((example_id, score) for score, example_id in ranked)


def _thinned(pictures: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """What is needed of many: both ends, and the sample that gives the median."""
    if len(pictures) <= _SAMPLE:
        return pictures
    ranked = sorted(pictures)
    ends = {*ranked[:PICTURES], *ranked[-PICTURES:]}
    return sorted(ends | set(_sampled(pictures)))


def _sampled(pictures: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The pictures with the smallest hashes: the same ones, however the split was cut."""
    if len(pictures) <= _SAMPLE:
        return pictures
    return sorted(pictures, key=lambda pair: hashlib.md5(pair[1].encode()).digest())[:_SAMPLE]
