"""The expected calibration error of a split and its slices, from what the model's graph counted."""

from __future__ import annotations

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2 as metrics_pb2

from components.common import schema
from components.common.reliability import BINS, CONFIDENCE, CORRECT, PIXELS, UNIT, calibration_error


def computations(model_name: str) -> list:
    """TFMA's computations for one model: the sums, the error, the bins as TFMA's calibration plot.

    Args:
      model_name: TFMA's.
    """
    summed = _key(f"_{schema.RELIABILITY}", model_name)
    error = _key(schema.CALIBRATION_ERROR, model_name)
    plot = tfma.metrics.PlotKey(schema.RELIABILITY, model_name=model_name)

    def derive(metrics: dict) -> dict:
        bins = metrics[summed]
        return {error: calibration_error(bins), plot: to_plot(bins)}

    return [
        tfma.metrics.MetricComputation(
            keys=[summed], preprocessors=None, combiner=SumReliability(summed)
        ),
        tfma.metrics.DerivedMetricComputation(keys=[error, plot], result=derive),
    ]


def _key(name: str, model_name: str) -> tfma.metrics.MetricKey:
    # As those of `metrics`, so that a threshold would find it.
    return tfma.metrics.MetricKey(name, model_name=model_name, example_weighted=None)


def to_plot(bins: np.ndarray) -> metrics_pb2.CalibrationHistogramBuckets:
    """The bins as TFMA's calibration histogram; a "label" is whether the pixel is right.

    Args:
      bins: int64 [BINS, 3], of `count_bins`.
    """
    message = metrics_pb2.CalibrationHistogramBuckets()
    for index, counts in enumerate(bins):
        bucket = message.buckets.add(
            lower_threshold_inclusive=index / BINS, upper_threshold_exclusive=(index + 1) / BINS
        )
        bucket.num_weighted_examples.value = counts[PIXELS]
        bucket.total_weighted_label.value = counts[CORRECT]
        bucket.total_weighted_refined_prediction.value = counts[CONFIDENCE] / UNIT
    return message


def from_plot(plots: dict) -> np.ndarray | None:
    """Inverse of `to_plot`.

    Args:
      plots: of a slice, as `tfma.load_eval_result` gives them.

    Returns:
      int64 [BINS, 3]; None: an earlier version of segline has evaluated, or an earlier one's model
      has counted nothing.
    """
    if "calibrationHistogramBuckets" not in plots:
        return None
    bins = np.zeros((BINS, 3), np.int64)
    # TFMA's JSON leaves nothing out of a bucket, but for a threshold of 0.
    for row, bucket in zip(bins, plots["calibrationHistogramBuckets"]["buckets"], strict=True):
        row[PIXELS] = bucket["numWeightedExamples"]
        row[CORRECT] = bucket["totalWeightedLabel"]
        row[CONFIDENCE] = round(bucket["totalWeightedRefinedPrediction"] * UNIT)
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
