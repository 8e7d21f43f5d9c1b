"""What the benchmarks print that is no time, against independent computations."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture
def benchmark(monkeypatch):
    """Loads one of the scripts beside this file."""
    folder = Path(__file__).parent
    monkeypatch.syspath_prepend(str(folder))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        # dataclasses looks its module up by name.
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_multiply_adds_are_those_of_the_paper(benchmark):
    """MobileNetV2 at 224x224: 300 M (Sandler et al., CVPR 2018, table 4)."""
    network = keras.applications.MobileNetV2(weights=None)
    assert benchmark("model_cost").multiply_adds(network) == pytest.approx(300e6, rel=0.01)


def _contour_pixels(inside, counted):
    """By the definition, pixel by pixel: [pixels, 2]."""
    height, width = inside.shape
    found = []
    for y, x in np.argwhere(inside & counted):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        beside = [(j, i) for j, i in beside if 0 <= j < height and 0 <= i < width]
        if any(counted[at] and not inside[at] for at in beside):
            found.append((y, x))
    return np.array(found, float).reshape(-1, 2)


def _nearest(of, to):
    if not len(to):
        return np.full(len(of), np.inf)
    return np.sqrt(((of[:, None] - to[None]) ** 2).sum(-1)).min(1)


def test_distances_of_contours_are_those_of_a_search_over_all_pixels(benchmark):
    rng = np.random.default_rng(0)
    tally = benchmark("contours").Tally()
    to_truth, to_prediction = [], []
    for shift in (0, 1, 4, None):
        smooth = ndimage.gaussian_filter(rng.random((40, 30)), 3)
        truth = smooth > np.median(smooth)
        predicted = np.zeros_like(truth) if shift is None else np.roll(truth, shift, axis=1)
        counted = rng.random(truth.shape) < 0.95
        tally.add(truth, predicted, counted)
        true, guessed = (_contour_pixels(one, counted) for one in (truth, predicted))
        to_truth.extend(_nearest(guessed, true))
        to_prediction.extend(_nearest(true, guessed))
    assert np.isinf(to_prediction).any()  # where nothing was predicted
    np.testing.assert_allclose(np.sort(tally.all_distances()), np.sort(to_truth + to_prediction))
    for pixels in (1, 2):
        precision, recall = (np.mean(np.array(one) <= pixels) for one in (to_truth, to_prediction))
        expected = 2 * precision * recall / (precision + recall)
        assert 0.3 < expected < 0.95
        assert tally.f_score(pixels) == pytest.approx(expected)


def test_a_class_that_is_never_predicted_has_the_score_0(benchmark):
    truth, counted = np.eye(5, dtype=bool), np.ones((5, 5), bool)
    tally = benchmark("contours").Tally()
    assert np.isnan(tally.f_score(1))
    tally.add(truth, ~counted, counted)
    assert (tally.iou(), tally.f_score(2)) == (0, 0)
    assert np.isinf(tally.all_distances()).all()
