"""TFMA metrics from what the model's graph counted: confusion matrices, and confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2 as metrics_pb2

from components.common import confusion, schema
from components.evaluator import calibration
from components.evaluator import objects as object_counts
from components.evaluator.ranking import RankPictures


class SegmentationMetrics(tfma.metrics.Metric):
    """All scalar segmentation metrics, the summed confusion matrix, the ranked pictures.

    Args:
      class_names: names of the classes, by index.
      min_slice_examples: pictures that a slice needs for `guarded_mean_iou`.
      objects: names of the classes whose connected objects are counted.
      name: of the whole; the metrics bear the names of `components.common.schema`.
      **settings: further settings of the evaluation that are kept with its config.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        min_slice_examples: int = 1,
        objects: Sequence[str] = (),
        name: str = "segmentation",
        **settings: Any,
    ) -> None:
        super().__init__(
            _create_computations,
            name=name,
            class_names=list(class_names),
            min_slice_examples=min_slice_examples,
            objects=list(objects),
            **settings,
        )


def _create_computations(
    class_names: Sequence[str],
    min_slice_examples: int = 1,
    objects: Sequence[str] = (),
    name: str = "segmentation",
    model_names: Sequence[str] = ("",),
    output_names: Sequence[str] = ("",),
    **unused_options: Any,
) -> list[tfma.metrics.MetricComputation | tfma.metrics.DerivedMetricComputation]:
    """The computations for each model: the sums, what is derived from them, one ranking."""
    del name, output_names
    return [
        computation
        for model_name in model_names
        for computation in (
            *_computations_of_model(list(class_names), min_slice_examples, model_name),
            *calibration.computations(model_name),
            *(_computations_of_objects(list(class_names), objects, model_name) if objects else ()),
        )
    ]


def _computations_of_objects(
    class_names: list[str], wanted: Sequence[str], model_name: str
) -> list:
    summed = _key("_objects", model_name)
    scalars = {
        name: _key(name, model_name)
        for class_name in wanted
        for name in (schema.object_metric(metric, class_name) for metric in schema.OBJECT_METRICS)
    }

    def derive(metrics: dict) -> dict:
        found: dict[str, float] = {}
        for class_name, counts in zip(wanted, metrics[summed], strict=True):
            found |= object_counts.scores(counts, class_name)
        return {scalars[name]: value for name, value in found.items()}

    indices = [class_names.index(name) for name in wanted]
    return [
        tfma.metrics.MetricComputation(
            keys=[summed], preprocessors=None, combiner=object_counts.CountObjects(summed, indices)
        ),
        tfma.metrics.DerivedMetricComputation(keys=[*scalars.values()], result=derive),
    ]


def _computations_of_model(
    class_names: list[str], min_slice_examples: int, model_name: str
) -> list:
    summed = _key(f"_{schema.CONFUSION_MATRIX}", model_name)
    scalars = {
        name: _key(name, model_name)
        for name in confusion.scores(np.zeros([len(class_names)] * 2), class_names)
    }
    guarded = _key(schema.GUARDED_MEAN_IOU, model_name)
    ranked = _key(schema.RANKED_PICTURES, model_name)
    plot = tfma.metrics.PlotKey(schema.CONFUSION_MATRIX, model_name=model_name)

    def derive(metrics: dict) -> dict:
        matrix, count = metrics[summed]
        values = confusion.scores(matrix, class_names)
        result = {key: values[name] for name, key in scalars.items()}
        # TFMA holds a threshold against every slice, and counts a metric that a slice
        # lacks as missed. A constant has no change, whatever the model.
        mean_iou = values[schema.MEAN_IOU]
        enough = count >= min_slice_examples and not math.isnan(mean_iou)
        result[guarded] = mean_iou if enough else 0.0
        result[plot] = _plot(matrix)
        return result

    return [
        tfma.metrics.MetricComputation(
            keys=[summed],
            preprocessors=None,
            combiner=SumConfusionMatrices(summed, len(class_names)),
        ),
        tfma.metrics.MetricComputation(
            keys=[ranked], preprocessors=None, combiner=RankPictures(ranked)
        ),
        tfma.metrics.DerivedMetricComputation(
            keys=[*scalars.values(), guarded, plot], result=derive
        ),
    ]


def _key(name: str, model_name: str) -> tfma.metrics.MetricKey:
    # TFMA looks a threshold up under a key whose `example_weighted` is None.
    return tfma.metrics.MetricKey(name, model_name=model_name, example_weighted=None)


def _plot(matrix: np.ndarray) -> metrics_pb2.MultiClassConfusionMatrixAtThresholds:
    """The matrix as TFMA's multi-class confusion matrix, at the single threshold 0."""
    message = metrics_pb2.MultiClassConfusionMatrixAtThresholds()
    cells = message.matrices.add(threshold=0.0)
    for (truth, predicted), count in np.ndenumerate(matrix):
        cells.entries.add(
            actual_class_id=truth, predicted_class_id=predicted, num_weighted_examples=count
        )
    return message


class SumConfusionMatrices(beam.CombineFn):
    """Adds up the `confusion_matrix` output of the model, and counts the pictures.

    The accumulator is int64 [C * C + 1]: the cells, then the pictures.

    Args:
      key: what the sum is published as.
      num_classes: number of classes C.
    """

    def __init__(self, key: tfma.metrics.MetricKey, num_classes: int) -> None:
        self._key = key
        self._num_classes = num_classes

    def create_accumulator(self) -> np.ndarray:
        """Zeros."""
        return np.zeros(self._num_classes**2 + 1, np.int64)

    def add_input(
        self, accumulator: np.ndarray, element: tfma.metrics.StandardMetricInputs
    ) -> np.ndarray:
        """Adds one picture's matrix."""
        predictions = element.get_predictions(model_name=self._key.model_name)
        accumulator[:-1] += np.ravel(predictions[schema.CONFUSION_MATRIX])
        accumulator[-1] += 1
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        """Adds up workers' sums."""
        return sum(accumulators, self.create_accumulator())

    def extract_output(self, accumulator: np.ndarray) -> dict:
        """Matrix [C, C] and number of pictures, by the key."""
        matrix = accumulator[:-1].reshape(self._num_classes, self._num_classes)
        return {self._key: (matrix, int(accumulator[-1]))}
