"""The distance of many draws from the same numbers, all at once.

As `distance.divergences`, which asks TensorFlow Data Validation about each: histograms of ten equal
buckets, which hold their numbers evenly, or one point where all are the same
(tensorflow/data-validation anomalies/metrics.cc: AlignHistograms, JensenShannonDivergence).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.watcher.distance import BUCKETS

_AT_ONCE = 2_000_000  # numbers


def draw(
    known: int, counts: tuple[int, int], draws: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws with replacement, twice, again and again.

    Args:
      known: n, of the numbers that are drawn from.
      counts: how many are drawn the first and the second time.
      draws: D.
      rng: of the bootstrap.

    Yields:
      For some of the draws how often each number was drawn, twice int64 [d, n]; D in all.
    """
    at_once = max(1, _AT_ONCE // max(known, *counts))
    for start in range(0, draws, at_once):
        some = min(at_once, draws - start)
        first, second = (_often(known, count, some, rng) for count in counts)
        yield first, second


def _often(known: int, count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    places = rng.integers(known, size=(draws, count)) + known * np.arange(draws)[:, np.newaxis]
    return np.bincount(places.ravel(), minlength=draws * known).reshape(draws, known)


def divergences_of(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence of each draw.

    Args:
      values: float [n], finite, ascending.
      first: int [d, n], how often each was drawn; at least one of a draw.
      second: likewise.

    Returns:
      float64 [d], 0 (the same) to 1 (nothing in common).
    """
    edges, shares = zip(_histograms(values, first), _histograms(values, second), strict=True)
    points = [one[:, 0] == one[:, -1] for one in edges]
    boundaries = np.sort(np.concatenate(edges, 1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (
            np.diff(_at(boundaries, *histogram)) for histogram in zip(edges, shares, strict=True)
        )
        mean = (one + other) / 2
        told = (_information(one, mean) + _information(other, mean)) / 2
    same = points[0] & points[1] & (edges[0][:, 0] == edges[1][:, 0])
    return np.where(points[0] | points[1], np.where(same, 0.0, 1.0), np.clip(told, 0, 1))


def _histograms(values: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the buckets, and the share of a draw below each: float64 [d, buckets + 1]."""
    below = drawn.cumsum(1)
    count = below[:, -1:]
    low, high = (values[(below < least).sum(1)] for least in (1, count))
    edges = np.linspace(low, high, BUCKETS + 1, axis=1)
    places = np.searchsorted(values, edges)
    shares = np.take_along_axis(below, np.maximum(places - 1, 0), 1) * (places > 0) / count
    shares[:, -1] = 1  # the last bucket has its upper edge too
    return edges, shares


def _at(boundaries: np.ndarray, edges: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The share below each boundary."""
    low, high = edges[:, :1], edges[:, -1:]
    place = np.nan_to_num(np.clip((boundaries - low) / (high - low), 0, 1)) * BUCKETS
    bucket = np.minimum(place.astype(np.int64), BUCKETS - 1)
    begin, end = (np.take_along_axis(shares, bucket + step, 1) for step in (0, 1))
    return begin + (place - bucket) * (end - begin)


def _information(share: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Kullback and Leibler's, in bits."""
    return np.where(share > 0, share * np.log2(share / mean), 0).sum(1)
