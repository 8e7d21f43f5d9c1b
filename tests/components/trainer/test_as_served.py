"""The served network beside the trained one: the same logits, less work."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from statistics_of_norms import with_statistics

from components.trainer import unet
from components.trainer.as_served import FoldedBatchNormalization, _fold, _pairs, as_served
from components.trainer.batch_norm import batch_norms
from components.trainer.config import DecoderConfig, EncoderConfig

pytestmark = pytest.mark.slow

PICTURES = np.random.default_rng(0).random((2, 64, 96, 4), np.float32)
LAYERS = keras.layers


def agree(one, other, pictures):
    ours, theirs = one.predict_on_batch(pictures), other.predict_on_batch(pictures)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def folded(model):
    return [type(norm) is FoldedBatchNormalization for norm in batch_norms(model)]


# (KerasHub's: test_keras_hub_presets.py.)
@pytest.mark.parametrize(
    ("name", "stay"),
    [
        ("mobilenet_v3_small", 0),  # has operations that are no layers
        ("efficientnet_v2_b0", 0),
        ("resnet50_v2", 17),  # each of its 16 blocks begins with one, and one comes last
    ],
)
def test_other_networks(name, stay):
    config = EncoderConfig(name=name, weights="none")
    decoder = DecoderConfig(kind="separable", filters=(8, 8, 8, 8))
    trained = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    before = trained.get_weights()
    served = as_served(trained, config, decoder)
    agree(served, trained, PICTURES[..., :3])
    assert folded(served).count(False) == stay
    for ours, theirs in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)  # it is a copy


@pytest.mark.parametrize("kind", ["transposed", "separable"])
@pytest.mark.parametrize("enlarge", [1, 1.5])
def test_both_decoders(kind, enlarge):
    config = EncoderConfig(weights="none", alpha=0.35, enlarge=enlarge)
    decoder = DecoderConfig(kind=kind, filters=(16, 16, 8, 8))
    trained = with_statistics(unet.build_unet(5, (64, 96), config, decoder, channels=4))
    served = as_served(trained, config, decoder)
    agree(served, trained, PICTURES)
    assert all(folded(served))


def test_what_trained_in_bfloat16_computes_in_float32():
    config = EncoderConfig(weights="none", alpha=0.35)
    decoder = DecoderConfig(filters=(8, 8, 8, 8))
    exact = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trained = unet.build_unet(3, (64, 96), config, decoder)
        trained.set_weights(exact.get_weights())
        served = as_served(trained, config, decoder)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    agree(served, exact, PICTURES[..., :3])
    assert (served.input_shape, served.output_shape) == (exact.input_shape, exact.output_shape)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_over_the_mirror_image_logits_are_the_mean_of_both(policy):
    config = EncoderConfig(weights="none", alpha=0.35)
    decoder = DecoderConfig(kind="separable", filters=(8, 8, 8, 8))
    plain = with_statistics(unet.build_unet(3, (64, 96), config, decoder, channels=4))
    keras.config.set_dtype_policy(policy)  # of the training, which the export is a part of
    try:
        both = as_served(plain, config, decoder, flip=True)
    finally:
        keras.config.set_dtype_policy("float32")
    one = plain.predict_on_batch(PICTURES)
    other = plain.predict_on_batch(PICTURES[:, :, ::-1])[:, :, ::-1]
    assert np.abs(one - other).max() > 1e-2  # it has something to even out
    np.testing.assert_allclose(both.predict_on_batch(PICTURES), (one + other) / 2, atol=1e-4)
    assert (both.input_shape, both.output_shape) == (plain.input_shape, plain.output_shape)
    assert len(both.weights) == len(plain.weights)


def resized(images, height, width):
    """Bilinearly, half-pixel centres, no antialiasing: what PyTorch has too."""
    tensor = tf.image.resize(images, (height, width), method="bilinear", antialias=False)
    return tensor.numpy()


@pytest.mark.parametrize(
    ("name", "kind", "enlarge"),
    [
        ("mobilenet_v2", "transposed", 1),
        ("mobilenet_v2", "separable", 1.5),  # 96 and 160 end at other sizes than their pictures'
        ("mobilenet_v3_small", "separable", 1),  # its encoder has operations that are no layers
        ("resnet50", "separable", 1),  # has one before the encoder
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_over_several_sizes_logits_are_their_mean(name, kind, enlarge, flip):
    scaling = {"input_range": "as_trained"} if name == "resnet50" else {}
    alpha = 0.35 if name == "mobilenet_v2" else 1.0
    config = EncoderConfig(name=name, weights="none", alpha=alpha, enlarge=enlarge, **scaling)
    decoder = DecoderConfig(kind=kind, filters=(16, 16, 8, 8))
    plain = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    sizes = [(32, 64), (64, 96), (96, 128)]
    served = as_served(plain, config, decoder, flip, sizes)
    pictures = PICTURES[..., :3]
    wanted = []
    for seen in (pictures, pictures[:, :, ::-1]) if flip else (pictures,):
        found = []
        for size in sizes:
            other = unet.build_unet(3, size, config, decoder)
            other.set_weights(plain.get_weights())
            found.append(resized(other.predict_on_batch(resized(seen, *size)), 64, 96))
        tolerance = 1e-4 * np.abs(found[1]).max()
        assert all(np.abs(found[1] - one).max() > 10 * tolerance for one in found[::2])
        wanted.append(np.mean(found, 0) if seen is pictures else np.mean(found, 0)[:, :, ::-1])
    logits = served.predict_on_batch(pictures)
    np.testing.assert_allclose(logits, np.mean(wanted, 0), atol=tolerance)
    assert (served.input_shape, served.output_shape) == (plain.input_shape, plain.output_shape)
    assert served.count_params() == plain.count_params()  # they share their layers


def one_output_read_twice(x):
    features = LAYERS.Conv2D(4, 3)(x)
    return LAYERS.BatchNormalization()(features) + features


def an_output_of_the_network(x):
    features = LAYERS.Conv2D(4, 3)(x)
    return [LAYERS.BatchNormalization()(features), features]


def a_convolution_called_twice(x):
    convolution = LAYERS.Conv2D(4, 3)
    return LAYERS.Concatenate()(
        [LAYERS.BatchNormalization()(convolution(part)) for part in (x, 1 - x)]
    )


def a_reader_that_is_called_elsewhere_too(x):
    features, activation = LAYERS.Conv2D(4, 1)(x), LAYERS.ReLU()
    summed = activation(LAYERS.Conv2D(4, 1)(x)) + activation(features)
    return LAYERS.BatchNormalization()(features) + summed


def a_norm_called_twice(x):
    norm = LAYERS.BatchNormalization()
    return norm(LAYERS.Conv2D(4, 3)(x)) + norm(LAYERS.Conv2D(4, 3)(1 - x))


def an_activation_between(x):
    return LAYERS.BatchNormalization(scale=False)(LAYERS.Conv2D(4, 3, activation="relu")(x))


def over_another_axis(x):
    return LAYERS.BatchNormalization(axis=1)(LAYERS.Conv2D(64, 1)(x))


@pytest.mark.parametrize(
    "made",
    [
        one_output_read_twice,
        an_output_of_the_network,
        a_convolution_called_twice,
        a_reader_that_is_called_elsewhere_too,
        a_norm_called_twice,
        an_activation_between,
        over_another_axis,
    ],
)
def test_what_can_not_be_folded_is_left(made):
    inputs = keras.Input((64, 96, 4))
    model = with_statistics(keras.Model(inputs, made(inputs)))
    assert _pairs(model) == []


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_each_convolution_with_each_norm(bias, options):
    inputs = keras.Input((64, 96, 4))
    x = inputs
    for kind, arguments in {
        LAYERS.Conv2D: (5, 3),
        LAYERS.DepthwiseConv2D: (3, 2, "same", 2),  # two outputs of each channel
        LAYERS.SeparableConv2D: (6, 3),
        LAYERS.Conv2DTranspose: (3, 3),
    }.items():
        x = LAYERS.BatchNormalization(**options)(kind(*arguments, use_bias=bias)(x))
    model = with_statistics(keras.Model(inputs, x))
    expected = model.predict_on_batch(PICTURES)
    pairs = _pairs(model)
    assert len(pairs) == 4
    for convolution, norm in pairs:
        _fold(convolution, norm)
    now = keras.Model(model.inputs, model.outputs[0]).predict_on_batch(PICTURES)  # traced anew
    np.testing.assert_allclose(now, expected, atol=1e-4 * np.abs(expected).max())
