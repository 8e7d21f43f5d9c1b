"""The histograms of the page of `segline watch`."""

from itertools import pairwise

import numpy as np
import pytest

from components.reporter.watch_page import bucket_edges, bucket_shares


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return rng.normal(500, 50, 2000), rng.normal(520, 50, 300)


@pytest.mark.parametrize("count", [60, 300])
def test_one_odd_request_does_not_leave_all_others_in_one_bucket(values, count):
    before, now = values
    odd = np.append(now[:count], 100_000.0)
    edges = bucket_edges(before, odd)
    assert edges[-1] < 800
    shares = bucket_shares(odd, edges)
    assert (shares > 0).sum() > 15
    assert shares[-1] == pytest.approx(np.mean(odd >= edges[-2]))  # it is in the last one


def test_all_values_are_in_a_bucket_and_what_lies_between_is_where_it_belongs(values):
    edges = bucket_edges(*values)
    for one in values:
        shares = bucket_shares(one, edges)
        assert shares.sum() == pytest.approx(1)
        inner = [np.mean((one >= low) & (one < high)) for low, high in pairwise(edges[1:-1])]
        np.testing.assert_allclose(shares[1:-1], inner)


def test_a_feature_with_one_value():
    edges = bucket_edges(np.full(5, 96.0), np.full(3, 96.0))
    assert edges[0] == 96 and edges[-1] > 96
    assert bucket_shares(np.full(3, 96.0), edges)[0] == 1
