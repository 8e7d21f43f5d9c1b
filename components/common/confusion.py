"""Scores from one summed confusion matrix.

Everything is computed from the matrix of the whole split, never as a mean of
per-picture values. The definitions are those of the semantic segmentation
literature (Long et al., CVPR 2015; Everingham et al., IJCV 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from components.common import schema


def scores(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Computes all metrics of a split.

    Args:
      matrix: [C, C] pixel counts; rows are the truth, columns the prediction.
      class_names: names of the C classes.

    Returns:
      `pixel_accuracy`; `mean_iou`, over the classes that occur in truth or
      prediction; `predicted_classes`, how many are predicted anywhere; and for each
      class `iou_…` (intersection over union), `accuracy_…` (share of the class's
      pixels that were found), `precision_…` (share of the pixels given to the class
      that are the class's) and `dice_…`.
      A value whose denominator is zero is NaN.
    """
    matrix = np.asarray(matrix, np.float64)
    hits = np.diag(matrix)
    truth, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    per_class = {
        "iou": _ratio(hits, truth + predicted - hits),
        "accuracy": _ratio(hits, truth),
        "precision": _ratio(hits, predicted),
        "dice": _ratio(2 * hits, truth + predicted),
    }
    result = {
        schema.PIXEL_ACCURACY: float(_ratio(hits.sum(), matrix.sum())),
        schema.MEAN_IOU: mean_iou(matrix),
        schema.PREDICTED_CLASSES: float(np.count_nonzero(predicted)),
    }
    for metric in schema.PER_CLASS_METRICS:
        for name, value in zip(class_names, per_class[metric], strict=True):
            result[schema.class_metric(metric, name)] = float(value)
    return result


def mean_iou(matrix: np.ndarray) -> float:
    """Mean intersection over union of the classes that occur in truth or prediction.

    Args:
      matrix: [C, C] pixel counts; rows are the truth, columns the prediction.

    Returns:
      0 to 1; NaN where no pixel counts.
    """
    matrix = np.asarray(matrix, np.float64)
    hits = np.diag(matrix)
    union = matrix.sum(axis=1) + matrix.sum(axis=0) - hits
    occurs = union > 0
    return float(np.mean(hits[occurs] / union[occurs])) if occurs.any() else math.nan


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
