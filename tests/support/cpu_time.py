"""Guards against what has become slower: CPU time as a ratio, by turns in one process.

Other work on the machine changes how long something takes, and much less how much of a
processor it takes.
"""

import statistics
import time
from collections.abc import Callable


def median_ratio(
    ours: Callable[[], object], reference: Callable[[], object], rounds: int = 7
) -> float:
    """CPU time of one as a share of the other's: the median over the rounds."""
    ratios = []
    for number in range(rounds + 1):
        below, above = _seconds(reference), _seconds(ours)
        if number:  # the first is for warming up
            ratios.append(above / below)
    return statistics.median(ratios)


def _seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started
