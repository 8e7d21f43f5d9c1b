"""Scores against their definitions, written out otherwise."""

import itertools

import numpy as np
import pytest

from components.common import schema
from components.labels.k_centre import greedy_k_centre
from components.labels.scores import label_quality, uncertainty


def shares(rng, *shape):
    raw = rng.random(shape) ** 3 + 1e-6
    return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)


def by_cleanlab(probabilities, labels, temperature):
    """cleanlab 2.9.0, segmentation/rank.py and internal/multilabel_scorer.py: softmin."""
    pixels = np.array(
        [probabilities[at][labels[at]] for at in np.ndindex(labels.shape)], np.float64
    )
    weights = np.exp((1 - pixels) / temperature)
    return sum(w * p for w, p in zip(weights / sum(weights), pixels, strict=True))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_label_quality_is_cleanlabs(temperature):
    rng = np.random.default_rng(0)
    probabilities = shares(rng, 9, 7, 3)
    labels = rng.integers(0, 3, (9, 7)).astype(np.uint8)
    found = label_quality(probabilities, labels, temperature)
    assert found == pytest.approx(by_cleanlab(probabilities, labels, temperature), rel=1e-9)


def test_label_quality_is_what_cleanlab_itself_has_said():
    probabilities = shares(np.random.default_rng(1), 4, 4, 2)
    labels = np.indices((4, 4)).sum(0).astype(np.uint8) % 2
    # cleanlab 2.9.0, segmentation.rank.get_label_quality_scores, of these arrays, the classes'
    # axis first.
    told = 0.060930366612846135
    assert label_quality(probabilities, labels) == pytest.approx(told, rel=1e-9)


def test_pixels_that_do_not_count_change_no_score():
    rng = np.random.default_rng(2)
    probabilities = shares(rng, 6, 6, 2)
    labels = rng.integers(0, 2, (6, 6)).astype(np.uint8)
    part = label_quality(probabilities[:, :3], labels[:, :3])
    labels[:, 3:] = schema.IGNORE_INDEX
    assert label_quality(probabilities, labels) == pytest.approx(part)
    assert label_quality(probabilities, np.full_like(labels, schema.IGNORE_INDEX)) == 1


def test_a_sure_model_against_the_label_scores_lowest():
    labels = np.zeros((8, 8), np.uint8)
    right = np.full((8, 8, 2), [0.99, 0.01])
    wrong = right.copy()
    wrong[:2] = [0.01, 0.99]
    assert label_quality(wrong, labels) < 0.05 < 0.9 < label_quality(right, labels)


def test_uncertainty_by_hand():
    sure, halved = [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]
    one = np.array([[sure, halved], [sure, sure]])
    other = np.array([[sure, [0.3, 0.5, 0.2]], [[0.0, 0.0, 1.0], sure]])
    counted = np.array([[True, True], [True, False]])
    margin, flip = uncertainty(one, other, counted)
    assert margin == pytest.approx(1 - (1 + 0.2 + 1) / 3)
    assert flip == pytest.approx((0 + 0.2 + 1) / 3)


def radius(points, chosen, covered):
    centres = np.concatenate([covered, points[list(chosen)]])
    return np.linalg.norm(points[:, None] - centres[None], axis=-1).min(1).max()


@pytest.mark.parametrize("seed", range(5))
def test_k_centre_takes_the_farthest_and_is_at_most_twice_the_best(seed):
    rng = np.random.default_rng(seed)
    points, covered = rng.random((11, 3)), rng.random((2, 3))
    chosen = greedy_k_centre(points, 3, covered)
    for step, taken in enumerate(chosen):
        centres = np.concatenate([covered, points[chosen[:step]]])
        apart = [min(float(np.linalg.norm(p - c)) for c in centres) for p in points]
        assert apart[taken] == pytest.approx(max(apart))
    best = min(radius(points, some, covered) for some in itertools.combinations(range(11), 3))
    assert radius(points, chosen, covered) <= 2 * best


def test_k_centre_begins_with_the_first_where_nothing_is_covered():
    points = np.array([[0.0], [10.0], [0.0], [4.0]])
    nothing = np.zeros((0, 1))
    assert greedy_k_centre(points, 3, nothing) == [0, 1, 3]
    assert sorted(greedy_k_centre(points, 9, nothing)) == [0, 1, 2, 3]  # each once
    assert greedy_k_centre(points[:0], 2, nothing) == []
