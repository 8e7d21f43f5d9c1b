"""How far apart undrifted requests and a reference are by chance: a bootstrap.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16: reference and requests are
both drawn from the reference, again and again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from components.watcher.distance import divergence

_DRAWS = 2000
_UNSEEN = 3  # in n: what none of n has shown is, with 95 %, no more (Jovanovic and Levy, 1997)
_NOTHING = 1e-12  # beside the mean of divergences, which may be 0


def limits(
    reference: Sequence[np.ndarray],
    sizes: Sequence[int],
    alarms: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The divergences that undrifted requests hardly ever exceed, of several features.

    One limit for all that chance may make of any feature (Westfall and Young, Resampling-Based
    Multiple Testing, 1993: the smallest p-value), so that draws need not grow with their number.

    Args:
      reference: for each of F features int [buckets], at least one of the reference.
      sizes: for each, how many requests.
      alarms: how often at most one of the features exceeds its limit.
      rng: of the bootstrap.

    Returns:
      float64 [F].
    """
    if not reference:
        return np.zeros(0)
    drawn = np.stack([_draw(*one, rng) for one in zip(reference, sizes, strict=True)])
    # Divergences are close to gamma distributions; how close does not matter to all of them
    # together, as the common limit is taken from draws.
    mean, deviation = (
        drawn.mean(1, keepdims=True) + _NOTHING,
        drawn.std(1, keepdims=True) + _NOTHING,
    )
    gamma = stats.gamma((mean / deviation) ** 2, scale=deviation**2 / mean)
    smallest = np.sort(gamma.sf(drawn).min(0))
    return gamma.isf(smallest[int(alarms * (_DRAWS + 1)) - 1])[:, 0]


def _draw(counts: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Divergences of draws: float64 [draws]."""
    total = counts.sum()
    known = counts / total
    asked = known
    if not counts.all():
        # A draw can't have what the reference lacks, and requests can.
        unseen = _UNSEEN / (total + _UNSEEN)
        asked = known * (1 - unseen)
        asked[counts.argmin()] = unseen
    return divergence(rng.multinomial(total, known, _DRAWS), rng.multinomial(size, asked, _DRAWS))
