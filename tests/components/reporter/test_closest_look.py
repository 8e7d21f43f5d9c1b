import numpy as np
import pytest

from components.reporter.evaluation_section import most_of


@pytest.mark.parametrize("shape", [(60, 80), (60, 9), (9, 80), (8, 8), (10, 10)])
def test_the_part_in_which_most_is_wrong(shape):
    """Held against a look at every place."""
    wrong = np.random.default_rng(0).random(shape) < 0.2
    top, left = most_of(wrong, 10)
    counts = {
        (y, x): wrong[y : y + 10, x : x + 10].sum()
        for y in range(max(1, shape[0] - 9))
        for x in range(max(1, shape[1] - 9))
    }
    assert counts[top, left] == max(counts.values())
