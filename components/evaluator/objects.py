"""Objects, not only pixels: which are found, missed and invented.

An object is the pixels of a class that hang together. One of the truth and one of the prediction
are the same where their intersection over union is above 0.5; then no other can be. After panoptic
quality (Kirillov et al., CVPR 2019), whose rules for what is ignored hold too: ignored pixels are
in no union, and an object that lies mostly in them is not invented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
import scipy.ndimage
import tensorflow_model_analysis as tfma

from components.common import pictures, schema

_TOUCHING = np.ones((3, 3), bool)  # at a corner too, as `segline predict --objects` has it
FOUND, MISSED, INVENTED, OVERLAP = range(4)


def match_objects(truth: np.ndarray, predicted: np.ndarray, class_index: int) -> np.ndarray:
    """Counts one picture's objects of a class.

    Args:
      truth: uint8 [height, width] of class indices; IGNORE_INDEX does not count.
      predicted: the same.
      class_index: of the class.

    Returns:
      float64 [4]: how many are found, missed and invented; the sum of the intersections over
      unions of those that are found.
    """
    true, true_count = scipy.ndimage.label(truth == class_index, _TOUCHING)
    guess, guess_count = scipy.ndimage.label(predicted == class_index, _TOUCHING)
    # By the pairs that overlap, not by all: of speckles there are thousands on either side.
    both = (true > 0) & (guess > 0)
    pairs, intersection = np.unique(
        true[both].astype(np.int64) * (guess_count + 1) + guess[both], return_counts=True
    )
    true_of, guess_of = np.divmod(pairs, guess_count + 1)
    true_areas = np.bincount(true.ravel(), minlength=true_count + 1)
    guess_areas = np.bincount(guess.ravel(), minlength=guess_count + 1)
    ignored = np.bincount(guess[truth == schema.IGNORE_INDEX], minlength=guess_count + 1)
    union = true_areas[true_of] + (guess_areas - ignored)[guess_of] - intersection
    overlap = intersection / union
    same = overlap > 0.5
    found = np.count_nonzero(same)
    invented = ignored <= guess_areas / 2
    invented[0] = False  # what is no object
    invented[guess_of[same]] = False
    return np.array([found, true_count - found, invented.sum(), overlap[same].sum()], np.float64)


def scores(counts: np.ndarray, class_name: str) -> dict[str, float]:
    """The metrics of a class; NaN where there is nothing to divide by.

    Args:
      counts: sums of `match_objects`.
      class_name: of the class.
    """
    found, missed, invented, overlap = counts.tolist()
    total = found + missed / 2 + invented / 2
    values = {
        "found": found,
        "missed": missed,
        "invented": invented,
        "f1": found / total if total else math.nan,
        "quality": overlap / total if total else math.nan,
    }
    return {schema.object_metric(name, class_name): value for name, value in values.items()}


class CountObjects(beam.CombineFn):
    """Adds up what `match_objects` counts, by class.

    The accumulator is float64 [classes, 4].

    Args:
      key: what the sums are published as.
      class_indices: of the classes.
    """

    def __init__(self, key: tfma.metrics.MetricKey, class_indices: Sequence[int]) -> None:
        self._key = key
        self._class_indices = list(class_indices)

    def create_accumulator(self) -> np.ndarray:
        """Zeros."""
        return np.zeros([len(self._class_indices), 4])

    def add_input(
        self, accumulator: np.ndarray, element: tfma.metrics.StandardMetricInputs
    ) -> np.ndarray:
        """Adds one picture; a model of an earlier segline does not give its masks, and adds 0."""
        predictions = element.get_predictions(model_name=self._key.model_name)
        if schema.PACKED_TRUTH in predictions:
            truth, predicted = (
                pictures.unpack_indices(np.ravel(predictions[name])[0]).numpy()
                for name in (schema.PACKED_TRUTH, schema.PACKED_MASK)
            )
            for row, index in zip(accumulator, self._class_indices, strict=True):
                row += match_objects(truth, predicted, index)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        """Adds up workers' sums."""
        return sum(accumulators, self.create_accumulator())

    def extract_output(self, accumulator: np.ndarray) -> dict:
        """The sums, by the key."""
        return {self._key: accumulator}
