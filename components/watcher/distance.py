"""How far apart two sets of numbers are: the Jensen-Shannon divergence, in buckets of the first.

The divergence is TensorFlow Data Validation's (anomalies/metrics.cc: JensenShannonDivergence), the
buckets are others: TFDV's go in equal steps from the least number to the greatest, so that one odd
number among thousands decides where all others fall.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_PARTS = 10  # as many as TFDV's: StatsOptions.num_histogram_buckets


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Where numbers are counted: between the deciles of a reference, and beyond them.

    A decile that occurs more than once has a bucket of its own: a size that most pictures have, a
    share that is mostly 0.

    Attributes:
      edges: float64 [e], ascending: each ends a bucket, which has it.
      atoms: float64 [a], those of them that are a bucket of their own.
    """

    edges: np.ndarray
    atoms: np.ndarray

    @classmethod
    def of(cls, reference: np.ndarray) -> Buckets:
        """The buckets of some numbers: float [n], finite, at least one."""
        inner = np.linspace(0, 1, _PARTS + 1)[1:-1]
        edges = np.unique(np.quantile(reference, inner, method="inverted_cdf"))
        ascending = np.sort(reference)
        often = np.searchsorted(ascending, edges, "right") - np.searchsorted(ascending, edges)
        return cls(edges, edges[often > 1])

    def count(self, values: np.ndarray) -> np.ndarray:
        """How many of some numbers (float [m]) are in each bucket: int64 [e + a + 1], sum m."""
        places = np.searchsorted(self.edges, values) + np.searchsorted(self.atoms, values, "right")
        return np.bincount(places, minlength=len(self.edges) + len(self.atoms) + 1)


def divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence of counts, or of many of them.

    Args:
      one: int or float [..., buckets], none negative, at least one positive.
      other: likewise.

    Returns:
      float64 [...], 0 (the same) to 1 (nothing in common).
    """
    shares = [counts / counts.sum(-1, keepdims=True) for counts in (one, other)]
    mean = sum(shares) / 2
    return np.clip(sum(_information(share, mean) for share in shares) / 2, 0, 1)


def _information(share: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Kullback and Leibler's, in bits."""
    ratio = np.divide(share, mean, out=np.ones_like(share), where=share > 0)
    return (share * np.log2(ratio)).sum(-1)
