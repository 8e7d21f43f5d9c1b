"""The served network beside the trained one: the same logits, less work."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from statistics_of_norms import with_statistics

from components.trainer import encoders, unet
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


VIEWS = {
    "plain": {"encoder": {"alpha": 0.35}},
    # What the views end with is half of 64x96 and of 160x192, and not their size.
    "enlarged": {"encoder": {"alpha": 0.35, "enlarge": 1.5}, "decoder": {"kind": "separable"}},
    # Of 64x96 the U-Net ends at the picture's size, of 96x128 at 96x112.
    "enlarged evenly": {"encoder": {"alpha": 0.35, "enlarge": 1.7}},
    "enlarged, transposed": {"encoder": {"alpha": 0.35, "enlarge": 2}},
    "operations that are no layers, in the encoder": {"encoder": {"name": "mobilenet_v3_small"}},
    "and before it": {"encoder": {"name": "resnet50", "input_range": "as_trained"}},
    # At 32x64 other layers than at 64x96 are the last of their size, by what padding adds.
    "sizes that come about by padding": {"encoder": {"name": "resnet50_v2"}},
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("kind", VIEWS)
def test_over_several_sizes_logits_are_their_mean(kind, flip, monkeypatch):
    config = EncoderConfig.model_validate({"weights": "none", **VIEWS[kind]["encoder"]})
    decoder = DecoderConfig(filters=(16, 16, 8, 8), **VIEWS[kind].get("decoder", {}))
    chosen = []

    def first_choice(network, deepest=""):  # a network of any size hands on the same layers
        if not chosen:
            chosen.extend(map(network.layers.index, skip_layers(network, deepest)))
        return [network.layers[index] for index in chosen]

    skip_layers = encoders.skip_layers
    monkeypatch.setattr(encoders, "skip_layers", first_choice)
    plain = with_statistics(unet.build_unet(3, (64, 96), config, decoder, channels=4))
    monkeypatch.undo()
    sizes = [(32, 64), (64, 96), (96, 128)]
    served = as_served(plain, config, decoder, flip, sizes)
    monkeypatch.setattr(encoders, "skip_layers", first_choice)
    wanted = []
    for turned in (slice(None), slice(None, None, -1))[: 1 + flip]:
        found = []
        for size in sizes:
            other = unet.build_unet(3, size, config, decoder, channels=4)
            other.set_weights(plain.get_weights())
            # Straight from what it ends with to the picture's size.
            ends = keras.Model(other.input, other.get_layer("logits").output)
            logits = ends.predict_on_batch(resized(PICTURES[:, :, turned], *size))
            found.append(resized(logits, 64, 96)[:, :, turned])
        tolerance = 1e-4 * np.abs(found[1]).max()
        assert all(np.abs(found[1] - one).max() > 10 * tolerance for one in found[::2])
        wanted.append(np.mean(found, 0))
    logits = served.predict_on_batch(PICTURES)
    np.testing.assert_allclose(logits, np.mean(wanted, 0), atol=tolerance)
    assert (served.input_shape, served.output_shape) == (plain.input_shape, plain.output_shape)
    assert served.count_params() == plain.count_params()  # they share their layers


def test_another_size_alone_in_half_precision():
    config = EncoderConfig(weights="none", alpha=0.35)
    decoder = DecoderConfig(kind="separable", filters=(8, 8, 8, 8))
    exact = with_statistics(unet.build_unet(3, (64, 96), config, decoder))
    wanted = as_served(exact, config, decoder, sizes=[(96, 128)])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trained = unet.build_unet(3, (64, 96), config, decoder)
        trained.set_weights(exact.get_weights())
        served = as_served(trained, config, decoder, sizes=[(96, 128)])
    finally:
        keras.config.set_dtype_policy("float32")
    agree(served, wanted, PICTURES[..., :3])
    one, other = (model.predict_on_batch(PICTURES[..., :3]) for model in (served, exact))
    assert np.abs(one - other).max() > 1e-2


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
