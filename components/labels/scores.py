"""Numbers for one picture: how far its label is to be trusted, and how sure the model is."""

from __future__ import annotations

import numpy as np

from components.common import schema

# As the paper has it, and cleanlab's default.
TEMPERATURE = 0.1


def label_quality(
    probabilities: np.ndarray, labels: np.ndarray, temperature: float = TEMPERATURE
) -> float:
    """The soft minimum of the probabilities that the model gives to a mask's classes.

    Lad and Mueller 2023, "Estimating label quality and errors in semantic segmentation data via
    any model" (https://arxiv.org/abs/2307.05080); cleanlab's
    `segmentation.rank.get_label_quality_scores` with its default, `method="softmin"`.

    Args:
      probabilities: float [..., C], of a model that has not learned from this mask.
      labels: uint8 [...] of class indices; what is IGNORE_INDEX does not count.
      temperature: the lower, the more the worst pixels decide.

    Returns:
      From 0, surely wrong, to 1; 1 where no pixel counts.
    """
    counted = labels != schema.IGNORE_INDEX
    if not counted.any():
        return 1.0
    indices = labels[counted].astype(np.intp)[:, np.newaxis]
    given = np.take_along_axis(probabilities[counted], indices, -1)[:, 0].astype(np.float64)
    weights = np.exp((given.min() - given) / temperature)  # the largest is 1: nothing overflows
    return float(np.dot(weights, given) / weights.sum())


def uncertainty(
    probabilities: np.ndarray, mirrored: np.ndarray, counted: np.ndarray
) -> tuple[float, float]:
    """How little a model is sure of a picture that has no label.

    Args:
      probabilities: float [..., C].
      mirrored: the same, of the picture's mirror image, turned back.
      counted: bool [...], the pixels that are the picture's.

    Returns:
      1 less the mean margin between the two likeliest classes (Scheffer et al. 2001), and the
      mean total variation distance between both predictions; each from 0, sure, to 1.
    """
    if not counted.any():
        return 0.0, 0.0
    ordered = np.sort(probabilities[counted], -1)
    margin = ordered[:, -1] - ordered[:, -2]
    apart = np.abs(probabilities[counted] - mirrored[counted]).sum(-1) / 2
    return float(1 - margin.mean()), float(apart.mean())
