"""The served network beside the trained one: the same logits, fewer layers."""

import keras
import numpy as np
import pytest

from components.trainer import unet
from components.trainer.as_served import as_served
from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.encoders import batch_norms
from components.trainer.objective import PixelAccuracy

pytestmark = pytest.mark.slow

PICTURES = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)


def with_statistics(model):
    """As if trained: no BatchNorm layer changes nothing."""
    rng = np.random.default_rng(1)
    for layer in batch_norms(model):
        channels = layer.moving_mean.shape
        layer.moving_mean.assign(rng.normal(0, 0.1, channels))
        layer.moving_variance.assign(rng.uniform(0.5, 2, channels))
        if layer.gamma is not None:
            layer.gamma.assign(rng.uniform(-1.5, 1.5, channels))
        layer.beta.assign(rng.normal(0, 0.3, channels))
    return model


def agree(one, other, tolerance=1e-4):
    ours, theirs = one.predict_on_batch(PICTURES), other.predict_on_batch(PICTURES)
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


# (KerasHub's: test_keras_hub_presets.py.)
@pytest.mark.parametrize(
    ("name", "norms_that_stay"),
    [
        ("mobilenet_v3_small", 0),  # has operations that are no layers
        ("efficientnet_v2_b0", 0),
        ("resnet50_v2", 17),  # each of its 16 blocks begins with one, and one comes last
    ],
)
def test_other_networks(name, norms_that_stay):
    config = EncoderConfig(name=name, weights="none")
    decoder = DecoderConfig(kind="separable", filters=(8, 8, 8, 8))
    trained = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    before = trained.get_weights()
    served = as_served(trained)
    agree(served, trained)
    assert len(batch_norms(served)) == norms_that_stay
    for ours, theirs in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)  # it is a copy


@pytest.mark.parametrize("kind", ["transposed", "separable"])
@pytest.mark.parametrize("enlarge", [1, 2])
def test_both_decoders(kind, enlarge):
    config = EncoderConfig(weights="none", alpha=0.35, enlarge=enlarge)
    decoder = DecoderConfig(kind=kind, filters=(16, 16, 8, 8))
    trained = with_statistics(unet.build_unet(5, (64, 96), config, decoder))
    served = as_served(trained)
    agree(served, trained)
    assert not batch_norms(served)


def test_what_trained_in_bfloat16_computes_in_float32():
    config = EncoderConfig(weights="none", alpha=0.35)
    decoder = DecoderConfig(filters=(8, 8, 8, 8))
    exact = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trained = unet.build_unet(3, (64, 96), config, decoder)
        trained.set_weights(exact.get_weights())
        trained.compile("adam", metrics=[PixelAccuracy(0)])
        served = as_served(trained)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    agree(served, exact)
    assert {layer.compute_dtype for layer in served._flatten_layers()} == {"float32"}
    assert (served.input_shape, served.output_shape) == (exact.input_shape, exact.output_shape)


def test_a_convolution_that_is_used_twice_stays_as_it_is():
    inputs = keras.Input((64, 96, 3))
    features = keras.layers.Conv2D(4, 3, name="shared")(inputs)
    norm = keras.layers.BatchNormalization(name="norm")
    model = with_statistics(keras.Model(inputs, norm(features) + features))
    served = as_served(model)
    agree(served, model)
    assert len(batch_norms(served)) == 1
    both = keras.Model(inputs, [norm.output, features])
    assert len(batch_norms(as_served(both))) == 1


def test_a_convolution_with_an_activation_of_its_own_stays_as_it_is():
    inputs = keras.Input((64, 96, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    model = with_statistics(
        keras.Model(inputs, keras.layers.BatchNormalization(scale=False)(features))
    )
    served = as_served(model)
    agree(served, model)
    assert len(batch_norms(served)) == 1
