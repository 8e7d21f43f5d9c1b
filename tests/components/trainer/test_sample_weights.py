import numpy as np
import pytest
import tensorflow as tf

from components.common import schema
from components.trainer import sample_weights


def dataset(masks):
    images = tf.zeros([len(masks), 2, 2, 3])
    return tf.data.Dataset.from_tensor_slices((images, tf.constant(masks, tf.uint8)))


def test_the_tutorials_weights_and_triples():
    weights = sample_weights.resolve_class_weights([2.0, 2.0, 1.0], None, 3)
    np.testing.assert_allclose(weights, [0.4, 0.4, 0.2])
    mask = tf.constant([[0, 1], [2, 1]], tf.uint8)
    image, same, weight = sample_weights.add_sample_weights(weights)(tf.zeros([2, 2, 3]), mask)
    assert image.shape == (2, 2, 3) and weight.dtype == tf.float32
    np.testing.assert_array_equal(same, mask)
    np.testing.assert_allclose(weight, [[0.4, 0.4], [0.2, 0.4]])


def test_ignored_pixels_weigh_nothing():
    mask = tf.constant([[0, schema.IGNORE_INDEX]], tf.uint8)
    weight = sample_weights.add_sample_weights([0.5, 0.5])(None, mask)[2]
    np.testing.assert_allclose(weight, [[0.5, 0.0]])


def test_none_is_none():
    assert sample_weights.resolve_class_weights("none", None, 3) is None


def test_counting_and_balancing():
    masks = [[[0, 0], [0, 1]], [[0, 0], [1, 255]]]
    counts = sample_weights.count_pixels(dataset(masks), 3)
    assert counts.tolist() == [5, 2, 0]
    weights = sample_weights.resolve_class_weights("balanced", dataset(masks), 3)
    np.testing.assert_allclose(weights, np.array([1 / 5, 1 / 2, 0]) / (1 / 5 + 1 / 2), rtol=1e-6)
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
