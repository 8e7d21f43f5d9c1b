"""What counts as moved: TFDV's divergence, against a threshold and against chance."""

import time

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
from scipy.spatial.distance import jensenshannon
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.watcher import bootstrap
from components.watcher.comparison import compare
from components.watcher.distance import Buckets, divergence
from components.watcher.reference import Reference
from components.watcher.table import Row, Table


def histogram(counts):
    """TFDV's statistics of a feature that has these counts."""
    result = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = result.datasets.add(num_examples=int(counts.sum()))
    feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
    feature.path.step.append("a")
    numbers = feature.num_stats
    numbers.common_stats.num_non_missing = numbers.common_stats.tot_num_values = int(counts.sum())
    numbers.common_stats.min_num_values = numbers.common_stats.max_num_values = 1
    numbers.min, numbers.max = 0, len(counts)
    told = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for low, count in enumerate(counts):
        told.buckets.add(low_value=low, high_value=low + 1, sample_count=count)
    return result


def by_tfdv(one, other):
    described = schema_pb2.Schema()
    feature = described.feature.add(name="a", type=schema_pb2.FLOAT)
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.5
    found = tfdv.validate_statistics(
        histogram(other), described, previous_statistics=histogram(one)
    )
    return found.drift_skew_info[0].drift_measurements[0].value


def test_the_divergence_is_that_of_tfdv_and_of_scipy():
    rng = np.random.default_rng(4)
    for shares in (np.full(10, 0.1), np.array([0.9, 0.1, 0, 0, 0]), np.array([0, 0, 1.0])):
        one = rng.multinomial(1000, shares, 6)
        other = rng.multinomial(60, rng.dirichlet(np.ones(len(shares))), 6)
        found = divergence(one, other)
        assert found.shape == (6,)
        expected = [by_tfdv(*counts) for counts in zip(one, other, strict=True)]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(found, jensenshannon(one.T, other.T, base=2) ** 2, atol=1e-9)
    assert divergence(np.array([3, 0]), np.array([1, 0])) == 0
    assert divergence(np.array([3, 0]), np.array([0, 1])) == 1


def test_what_occurs_often_has_a_bucket_of_its_own():
    sizes = np.array([64.0, *[96.0] * 6, *[128.0] * 3])
    found = Buckets.of(sizes)
    assert found.edges.tolist() == [64, 96, 128] and found.atoms.tolist() == [96, 128]
    assert found.count(sizes).tolist() == [1, 0, 6, 0, 3, 0]
    asked = np.array([1.0, 64, 65, 95, 96, 97, 128, 129, 1e9])
    assert found.count(asked).tolist() == [2, 2, 1, 1, 1, 2]
    rng = np.random.default_rng(6)
    numbers = rng.pareto(2, 1000)
    np.testing.assert_allclose(Buckets.of(numbers).count(numbers), 100, atol=1)


@pytest.mark.parametrize("alarms", [0.03, 0.3])
def test_in_so_many_logs_any_feature_exceeds_its_limit(alarms):
    """Held against draws of this test's own: of numbers, not of counts."""
    rng = np.random.default_rng(7)
    sizes = rng.choice([480.0, 500.0, 640.0], 400, p=[0.6, 0.3, 0.1])
    sparse = np.where(rng.random(400) < 0.3, 0, rng.random(400))
    known = [rng.gamma(2, 1, 400), rng.pareto(2, 100), sizes, sparse]
    buckets = [Buckets.of(values) for values in known]
    counts = [one.count(values) for one, values in zip(buckets, known, strict=True)]

    def rate(*features):
        limits = bootstrap.limits(
            [counts[one] for one in features],
            [80] * len(features),
            alarms,
            np.random.default_rng(8),
        )
        exceeded = np.zeros(3000, bool)
        for one, limit in zip(features, limits, strict=True):
            drawn = [
                [buckets[one].count(draw) for draw in rng.choice(known[one], (3000, count))]
                for count in (len(known[one]), 80)
            ]
            exceeded |= jensenshannon(*np.transpose(drawn, (0, 2, 1)), base=2) ** 2 > limit
        return exceeded.mean()

    assert rate(0) == pytest.approx(alarms, rel=0.35)
    assert rate(0, 1) == pytest.approx(alarms, rel=0.35)
    # Between sizes there is room for one that no draw of this test has.
    assert alarms / 4 < rate(0, 1, 2, 3) < 1.3 * alarms
    assert not len(bootstrap.limits([], [], alarms, rng))


UNDRIFTED = {
    "normal": lambda rng, count: rng.normal(0, 1, count),
    "Pareto's": lambda rng, count: rng.pareto(2, count),
    "lognormal": lambda rng, count: rng.lognormal(0, 1, count),
    "another size once in 1000": lambda rng, count: np.where(rng.random(count) < 1e-3, 1024, 512),
    "a rare class": lambda rng, count: np.where(rng.random(count) < 2e-3, rng.random(count), 0),
}


@pytest.mark.parametrize("kind", UNDRIFTED)
def test_undrifted_requests_have_moved_in_3_of_100_logs(kind):
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        known = reference(UNDRIFTED[kind](rng, 1000))
        (one,) = compare(known, table(UNDRIFTED[kind](rng, 200)), 0.2, 50)
        alarms += one.moved
        assert not one.drifted
    assert alarms <= 8  # (more: in 4 of 1000)


def test_one_odd_request_among_thousands_is_no_change():
    rng = np.random.default_rng(2)
    for known, asked, odd in (
        (np.full(2000, 512.0), np.full(5000, 512.0), 513),
        (np.zeros(2000), np.zeros(5000), 1e-5),  # a class that is never seen
        (rng.normal(500, 50, 2000), rng.normal(500, 50, 1000), 20000),
        (rng.normal(500, 50, 2000), rng.normal(500, 50, 200), 1e308),
        (np.full(2000, 512.0), np.full(200, 512.0), 513),
    ):
        asked[17] = odd
        (one,) = compare(reference(known), table(asked), 0.2, 50)
        assert not one.moved and one.divergence < 0.02
    # A tenth of them is one, and so is another size of all of them.
    for asked, drifted in ((np.repeat([512.0, 513], [180, 20]), False), (np.full(200, 513), True)):
        (one,) = compare(reference(np.full(2000, 512.0)), table(asked), 0.2, 50)
        assert one.moved and one.drifted == drifted


def test_many_classes_and_slices_are_compared_in_seconds():
    rng = np.random.default_rng(5)
    kinds = np.array(list("abc"))[rng.integers(3, size=600)]
    known = Table(600, {f"share_{name}": rng.random(600) for name in range(60)}, {"kind": kinds})
    begin = time.process_time()
    found = compare(Reference(Table(0, {}, {}), known), known, 0.2, 30)
    assert len(found) == 4 * 60 and not any(one.moved for one in found)
    # (Without a limit in common draws grow with the square of the features: minutes.)
    assert time.process_time() - begin < 20


def table(values, **slices):
    return Table(len(values), {"brightness": np.asarray(values)}, slices)


def reference(values, **slices):
    return Reference(table(values, **slices), Table(0, {}, {}))


def test_chance_is_not_taken_for_a_change_and_a_small_change_is_not_taken_for_chance():
    rng = np.random.default_rng(1)
    known = reference(rng.normal(0, 1, 1500))
    alarms = moved = 0
    for _ in range(12):
        (same,) = compare(known, table(rng.normal(0, 1, 200)), 0.2, 50)
        (other,) = compare(known, table(rng.normal(0.6, 1, 200)), 0.2, 50)
        alarms += same.moved
        moved += other.moved
        assert not other.drifted  # as long as the config allows as much
        assert other.divergence < 0.2 and other.now - other.before == pytest.approx(0.6, abs=0.3)
    assert alarms <= 1 and moved >= 11
    (strict,) = compare(known, table(rng.normal(0.6, 1, 200)), 0.02, 50)
    assert strict.drifted


def test_a_small_reference_is_no_certain_one():
    """Chance is in what was trained on, too."""
    rng = np.random.default_rng(2)
    few, many = (
        compare(reference(rng.normal(0, 1, count)), table(rng.normal(0, 1, 200)), 0.2, 50)[0]
        for count in (30, 3000)
    )
    assert few.chance > 2 * many.chance


def test_slices_are_compared_with_slices():
    rng = np.random.default_rng(3)
    kinds = np.array(["cat", "dog"])[rng.integers(2, size=1000)]
    known = reference(np.where(kinds == "cat", 0.2, 0.8) + rng.normal(0, 0.05, 1000), kind=kinds)
    asked = np.array(["cat", "dog", "bird"])[np.repeat([0, 1, 2], [100, 100, 30])]
    # The cats look like dogs and the dogs like cats: all together as ever.
    values = np.where(asked == "dog", 0.2, 0.8) + rng.normal(0, 0.05, 230)
    found = compare(known, table(values[:200], kind=asked[:200]), 0.2, 50)
    assert [(one.name, one.drifted) for one in found] == [
        ("brightness", False),
        ("brightness of kind: cat", True),
        ("brightness of kind: dog", True),
    ]
    assert found[1].requests == 100 and found[1].before == pytest.approx(0.2, abs=0.02)
    few = compare(known, table(values, kind=asked), 0.2, 150)
    assert [one.slice for one in few] == [""]


def test_too_few_requests_are_not_judged():
    known = reference(np.linspace(0, 1, 100))
    assert compare(known, table(np.full(49, 9.0)), 0.2, 50) == []
    assert compare(known, table(np.append(np.full(49, 9.0), np.nan)), 0.2, 50) == []


def test_rows_that_tell_different_things_make_one_table():
    found = Table.of([Row({"a": 1.0}, {"kind": "cat"}), Row({"b": 2.0}), Row({"a": 3.0})])
    assert found.count == 3 and found.known("a").tolist() == [1, 3]
    assert found.known("b").tolist() == [2] and found.known("c").tolist() == []
    assert found.of_slice("kind", "cat").known("a").tolist() == [1]
