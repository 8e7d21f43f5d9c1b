"""The expected calibration error of a split and its slices, from what the model's graph counted."""

from __future__ import annotations

import json
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.common import schema
from components.common.reliability import BINS, calibration_error


def computations(model_name: str) -> list:
    """TFMA's computations for one model: the sums, and what is published of them.

    That is the error, and the bins as JSON. (As one of TFMA's plots they would take the confusion
    matrix's place: its loader knows one for each model, and no names of theirs.)

    Args:
      model_name: TFMA's.
    """
    summed = _key(f"_{schema.RELIABILITY}", model_name)
    error = _key(schema.CALIBRATION_ERROR, model_name)
    told = _key(schema.RELIABILITY, model_name)

    def derive(metrics: dict) -> dict:
        bins = metrics[summed]
        return {error: calibration_error(bins), told: json.dumps(bins.tolist()).encode()}

    return [
        tfma.metrics.MetricComputation(
            keys=[summed], preprocessors=None, combiner=SumReliability(summed)
        ),
        tfma.metrics.DerivedMetricComputation(keys=[error, told], result=derive),
    ]


def _key(name: str, model_name: str) -> tfma.metrics.MetricKey:
    # As those of `metrics`, so that a threshold would find it.
    return tfma.metrics.MetricKey(name, model_name=model_name, example_weighted=None)


def from_bytes(content: bytes) -> np.ndarray | None:
    """Reads the bins of a slice back.

    Args:
      content: value of the metric `reliability`.

    Returns:
      int64 [BINS, 3]; None: a model of an earlier segline has counted nothing.
    """
    bins = np.array(json.loads(content), np.int64)
    return bins if bins.any() else None


class SumReliability(beam.CombineFn):
    """Adds up the `reliability` output of the model.

    The accumulator is int64 [BINS, 3].

    Args:
      key: what the sum is published as.
    """

    def __init__(self, key: tfma.metrics.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> np.ndarray:
        """Zeros."""
        return np.zeros((BINS, 3), np.int64)

    def add_input(
        self, accumulator: np.ndarray, element: tfma.metrics.StandardMetricInputs
    ) -> np.ndarray:
        """Adds one picture; a model of an earlier segline does not count, and adds 0."""
        predictions = element.get_predictions(model_name=self._key.model_name)
        if schema.RELIABILITY in predictions:
            accumulator += np.reshape(predictions[schema.RELIABILITY], (BINS, 3))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        """Adds up workers' sums."""
        return sum(accumulators, self.create_accumulator())

    def extract_output(self, accumulator: np.ndarray) -> dict:
        """The sums, by the key."""
        return {self._key: accumulator}
