"""The network out of a SavedModel, against the Keras model that went in."""

import numpy as np
import pytest
import small_models
import tensorflow as tf

from components.common.network import take_network
from components.exporter.on_device import on_device

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).random((3, 32, 32, 3), np.float32)


def logits_of(network, pictures):
    @tf.function
    def run(images):
        return network(images)

    return run(tf.constant(pictures)).numpy()


@pytest.mark.parametrize("fit", ["stretch", "pad", "tiles"])
def test_it_computes_what_the_keras_model_does(network, saved, pictures, fit):
    taken = take_network(tf.saved_model.load(saved(fit)), (32, 32))
    wanted = network(pictures, training=False).numpy()
    np.testing.assert_allclose(logits_of(taken, pictures), wanted, atol=1e-4, rtol=1e-4)


def test_half_precision_of_the_training_is_single_on_a_device(network, pictures, tmp_path):
    half = small_models.in_half_precision(network)
    wanted = network(pictures, training=False).numpy()
    # It does compute otherwise: or else this would show nothing.
    assert np.abs(half(pictures, training=False).numpy() - wanted).max() > 1e-3
    folder = small_models.save(half, tmp_path / "model")
    taken = take_network(tf.saved_model.load(folder), (32, 32))
    np.testing.assert_allclose(logits_of(taken, pictures), wanted, atol=1e-4, rtol=1e-4)


def test_what_a_device_runs_has_classes_and_probabilities(network, saved, pictures):
    taken = take_network(tf.saved_model.load(saved("stretch")), (32, 32))
    device = on_device(taken, (32, 32), 2)
    outputs = device.segment(tf.constant(pictures[:1] * 255))
    logits = network(pictures[:1], training=False).numpy().astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(outputs["probabilities"], shares, atol=1e-5)
    assert outputs["mask"].dtype == tf.uint8
    np.testing.assert_array_equal(outputs["mask"], logits.argmax(-1))
    assert len(np.unique(outputs["mask"])) == 2


def test_a_model_that_sees_another_size_has_none(saved):
    with pytest.raises(ValueError, match="0 networks in the model take pictures of 64x32"):
        take_network(tf.saved_model.load(saved("stretch")), (32, 64))
