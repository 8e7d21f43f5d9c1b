"""Greedy k-centre: points that leave no other far away."""

from __future__ import annotations

import numpy as np


def greedy_k_centre(points: np.ndarray, count: int, covered: np.ndarray) -> list[int]:
    """Chooses, one after the other, the point that is farthest from all that there are.

    Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set
    Approach" (https://arxiv.org/abs/1708.00489), algorithm 1: at most twice as far as the best
    choice would be.

    Args:
      points: float [n, d], in order of preference: of two as far, the first is taken.
      count: how many to choose.
      covered: float [m, d], points that are there already; with none, the first point begins.

    Returns:
      `min(count, n)` indices of points, in the order of their choice.
    """
    if not len(points):
        return []
    points = points.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for centre in covered.astype(np.float64):
        nearest = np.minimum(nearest, _squared_distances(points, centre))
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        nearest = np.minimum(nearest, _squared_distances(points, points[farthest]))
        nearest[chosen] = -1  # also of two equal points each is taken once
    return chosen


def _squared_distances(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.square(points - centre).sum(-1)
