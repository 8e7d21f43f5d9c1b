import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from components.common.reliability import (
    BINS,
    CONFIDENCE,
    CORRECT,
    PIXELS,
    UNIT,
    calibration_error,
    confidence_of,
    count_bins,
    tempered,
)


def counted(confidence, correct, where):
    """By a loop over the pixels of one picture."""
    bins = np.zeros((BINS, 3))
    for sure, right in zip(confidence[where], correct[where], strict=True):
        number = max(int(np.ceil(sure * BINS)) - 1, 0)
        bins[number] += 1, right, sure
    return bins


def test_bins_are_those_of_a_loop_over_the_pixels():
    rng = np.random.default_rng(0)
    confidence = scipy.special.softmax(rng.normal(0, 2, (3, 40, 30, 4)), -1).max(-1)
    confidence = confidence.astype(np.float32)
    correct = rng.random(confidence.shape) < confidence
    where = rng.random(confidence.shape) < 0.7
    where[2] = False
    found = count_bins(tf.constant(confidence), tf.constant(correct), tf.constant(where)).numpy()
    assert found.shape == (3, BINS, 3) and found.dtype == np.int64
    for picture, one in enumerate(found):
        wanted = counted(confidence[picture].astype(float), correct[picture], where[picture])
        np.testing.assert_array_equal(one[:, [PIXELS, CORRECT]], wanted[:, :2])
        np.testing.assert_allclose(one[:, CONFIDENCE] / UNIT, wanted[:, 2], atol=1e-4)
    assert not found[2].any()


def test_bins_end_at_their_upper_edges():
    edges = np.array([[[0.0, 1e-9, 1.0, 1 + 1e-6, np.nan, 0.2, 0.2000001]]], np.float32)
    yes = tf.ones(edges.shape, tf.bool)
    (found,) = count_bins(tf.constant(edges), yes, yes).numpy()
    # 0.2 as a float32 is above 3 / 15 by less than a unit.
    assert found[:, PIXELS].tolist() == [3, 0, 1, 1, *[0] * 10, 2]
    assert found[-1, CONFIDENCE] == 2 * UNIT


def test_the_error_is_the_mean_distance_of_a_bin_from_what_it_claims():
    bins = np.zeros((BINS, 3), np.int64)
    bins[14] = 30, 27, 29.4 * UNIT  # 0.98 sure, 0.9 right
    bins[7] = 10, 6, 5 * UNIT  # 0.5 sure, 0.6 right
    assert calibration_error(bins) == pytest.approx(0.75 * 0.08 + 0.25 * 0.1)
    assert np.isnan(calibration_error(np.zeros((BINS, 3), np.int64)))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
def test_a_temperature_behind_the_softmax_is_one_before_it(temperature):
    logits = np.random.default_rng(1).normal(0, 5, (50, 60, 7)).astype(np.float32)
    wanted = scipy.special.softmax(logits.astype(float) / temperature, -1)
    probabilities = tf.nn.softmax(logits)
    np.testing.assert_allclose(tempered(probabilities, temperature), wanted, atol=1e-6)
    sure = confidence_of(probabilities, temperature)
    np.testing.assert_allclose(sure, wanted.max(-1), atol=1e-6)


def test_without_a_temperature_nothing_is_computed():
    probabilities = tf.nn.softmax(np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32))
    assert tempered(probabilities, None) is probabilities
