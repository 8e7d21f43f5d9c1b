"""The fused layer beside Keras's own, whose numbers it has to have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import batch_norm
from components.trainer.batch_norm import BatchNormalization, use_kernel

RNG = np.random.default_rng(0)
# Channels of very different means and spreads, as few of a small batch as there may be.
FEATURES = (RNG.normal(size=(2, 4, 6, 8)) * np.geomspace(0.1, 10, 8) + np.arange(8)).astype(
    np.float32
)
WEIGHT = RNG.normal(size=FEATURES.shape).astype(np.float32)


def pair(policy, **options):
    """Both layers with the same weights."""
    layers = [
        kind(momentum=0.9, dtype=policy, **options)
        for kind in (keras.layers.BatchNormalization, BatchNormalization)
    ]
    for layer in layers:
        layer.build((None, *FEATURES.shape[1:]))
        rng = np.random.default_rng(1)
        layer.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    return layers


def computed(layer, training):
    """What comes out, the gradients to features and weights, and the averages afterwards."""
    x = tf.constant(FEATURES)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * WEIGHT)
        trainable = [variable.value for variable in layer.trainable_weights]
        return outputs, *tape.gradient(loss, [x, *trainable])

    outputs, *gradients = step()
    assert outputs.dtype == layer.compute_dtype
    averages = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    return [np.asarray(tf.cast(value, tf.float32)) for value in (outputs, *gradients)], averages


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [("float32", 1e-5), ("mixed_bfloat16", 2e-2), ("mixed_float16", 3e-3)],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_outputs_gradients_and_averages_are_kerass(policy, tolerance, training, options):
    theirs, ours = (computed(layer, training) for layer in pair(policy, **options))
    for one, other in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance)


def test_a_frozen_layer_keeps_its_averages():
    ours = pair("float32")[1]
    ours.trainable = False
    before = ours.get_weights()
    outputs = ours(FEATURES, training=True)
    np.testing.assert_allclose(outputs, ours(FEATURES, training=False))
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("gpu", "policy", "training", "by_kernel"),
    [
        (False, "mixed_bfloat16", True, True),
        (False, "mixed_bfloat16", False, True),
        (True, "float32", True, False),
        (True, "mixed_bfloat16", False, False),
        (True, "float32", False, True),  # as what is served
    ],
)
def test_where_the_kernel_computes(monkeypatch, gpu, policy, training, by_kernel):
    monkeypatch.setattr(batch_norm, "has_gpu", lambda: gpu)
    assert kernels(pair(policy)[1], training) == by_kernel


def kernels(layer, training=True):
    @tf.function
    def compute(x):
        return layer(x, training=training)

    graph = compute.get_concrete_function(FEATURES).graph
    return [operation.type for operation in graph.get_operations()].count("FusedBatchNormV3")


def test_what_is_no_plain_layer_stays_kerass():
    assert kernels(pair("float32", synchronized=True)[1]) == 0
    assert kernels(pair("float32", axis=1)[1]) == 0


def test_files_of_weights_fit_from_before_and_after(tmp_path):
    """A training begins with the weights of an earlier model, which had Keras's layers."""
    inputs = keras.Input((32, 32, 3))
    norm = keras.layers.BatchNormalization(name="norm")
    x = keras.layers.ReLU()(norm(keras.layers.Conv2D(4, 3)(inputs)))
    network = keras.Model(inputs, x, name="network")
    norm.set_weights([RNG.uniform(0.5, 2, 4) for _ in range(4)])
    values = network.get_weights()
    network.save_weights(tmp_path / "before.weights.h5")
    pictures = RNG.random((2, 32, 32, 3), np.float32)
    expected = network(pictures).numpy()
    use_kernel(network)
    assert type(norm) is BatchNormalization
    network.set_weights([0 * weight for weight in values])
    network.load_weights(tmp_path / "before.weights.h5")
    for one, other in zip(network.get_weights(), values, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(network(pictures), expected, atol=1e-5)
