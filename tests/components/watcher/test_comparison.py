"""What counts as moved: TFDV's distance, against a threshold and against chance."""

import time
import warnings

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2

from components.watcher import bootstrap
from components.watcher.comparison import compare
from components.watcher.distance import divergences
from components.watcher.reference import Reference
from components.watcher.table import Row, Table


def columns(rng, count, shift=0.0, width=96.0):
    return {
        "brightness": rng.normal(shift, 1, count),
        "sharpness": rng.gamma(2 + shift, 1, count),
        "width": np.full(count, width),
        "height": rng.choice([64.0, 96.0], count),
    }


def by_tfdv(before, now):
    """With the statistics that TFDV makes of the numbers."""
    described = schema_pb2.Schema()
    for name in before:
        feature = described.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = 0.5
    statistics = []
    for table in (before, now):
        arrays = [pa.array([[value] for value in values]) for values in table.values()]
        batch = pa.RecordBatch.from_arrays(arrays, list(table))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statistics.append(stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions()))
    found = tfdv.validate_statistics(statistics[1], described, previous_statistics=statistics[0])
    return {info.path.step[0]: info.drift_measurements[0].value for info in found.drift_skew_info}


@pytest.mark.parametrize(("shift", "width"), [(0.0, 96.0), (0.5, 97.0), (3.0, 300.0)])
def test_distances_are_those_of_tfdv_s_own_statistics(shift, width):
    rng = np.random.default_rng(0)
    before, now = columns(rng, 1000), columns(rng, 300, shift, width)
    found = divergences(before, now)
    # (TFDV's histograms are approximate.)
    assert found == pytest.approx(by_tfdv(before, now), abs=0.01)
    assert found["width"] == (0 if width == 96 else 1)


def test_distances_of_draws_are_those_of_tfdv():
    rng = np.random.default_rng(4)
    for values in (
        np.sort(rng.gamma(2, 1, 200)),
        np.sort(rng.choice([64.0, 96.0, 100.0, 128.0], 50)),  # many on the edges of buckets
        np.array([0.1, 0.7]),  # some draws have one number only
    ):
        ((first, second),) = bootstrap.draw(len(values), (len(values), 60), 12, rng)
        assert first.shape == second.shape == (12, len(values))
        assert set(first.sum(1)) == {len(values)} and set(second.sum(1)) == {60}
        expected = [
            divergences({"a": np.repeat(values, one)}, {"a": np.repeat(values, other)})["a"]
            for one, other in zip(first, second, strict=True)
        ]
        found = bootstrap.divergences_of(values, first, second)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert {0.0, 1.0} & set(found.tolist())
    parts = bootstrap.draw(1500, (1500, 200), 2000, rng)
    assert sum(len(first) for first, _ in parts) == 2000


def test_many_slices_are_compared_in_seconds():
    rng = np.random.default_rng(5)
    kinds = np.array(list("abcdef"))[rng.integers(6, size=500)]
    known = Table(500, {f"share_{name}": rng.random(500) for name in range(9)}, {"kind": kinds})
    begin = time.process_time()
    found = compare(Reference(Table(0, {}, {}), known), known, 0.2, 30)
    assert len(found) == 7 * 9 and not any(one.moved for one in found)
    # (TFDV would be asked 29,400 times, of 5 ms each.)
    assert time.process_time() - begin < 30


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
