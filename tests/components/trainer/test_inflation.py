"""Encoders for other bands, from weights for three colours."""

import keras
import numpy as np
import pytest

from components.trainer import unet
from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.encoders import build_encoder
from components.trainer.inflation import inflate
from components.trainer.input_scaling import CAFFE, STANDARDISED

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 3, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network's, as a person has them in a file."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    keras.utils.set_random_seed(1)
    keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None
    ).save_weights(path)
    return str(path)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 6, 13])
def test_kernels_are_repeated_and_rescaled(channels):
    """By loops, after timm's text: repeated, cut, times 3 / channels; of one, the sum."""
    found = inflate(KERNEL, channels)
    expected = np.zeros((3, 3, channels, 8))
    for channel in range(channels):
        expected[:, :, channel] = KERNEL[:, :, channel % 3] * 3 / channels
    if channels == 1:
        expected = KERNEL[:, :, :1] + KERNEL[:, :, 1:2] + KERNEL[:, :, 2:]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_where_blue_comes_first_the_last_band_does():
    found = inflate(KERNEL, 4, blue_first=True)
    red, green, blue = (KERNEL[:, :, index] * 0.75 for index in (2, 1, 0))
    np.testing.assert_allclose(found, np.stack([red, blue, green, red], 2), rtol=1e-6)
    np.testing.assert_array_equal(inflate(KERNEL, 3, blue_first=True), KERNEL)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 6])
def test_a_grey_picture_has_the_features_that_it_had_in_three(weights, channels):
    config = EncoderConfig(weights=weights, alpha=0.35)
    decoder = DecoderConfig(filters=(8, 8, 8, 8))
    three = build_encoder((32, 32), config)
    other = build_encoder((32, 32), config, channels)
    assert not other.trainable
    grey = RNG.uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    for ours, theirs in zip(
        other(np.repeat(grey, channels, -1)), three(np.repeat(grey, 3, -1)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    model = unet.build_unet(3, (32, 32), config, decoder, channels)
    assert model.input_shape == (None, 32, 32, channels)


@pytest.mark.parametrize("scaling", [CAFFE, STANDARDISED])
def test_bands_are_scaled_as_the_colour_whose_weights_they_get(scaling):
    picture = RNG.random((1, 2, 2, 5)).astype(np.float32)
    found = np.asarray(scaling.apply(picture))
    order = [0, 1, 2, 0, 1]
    expected = picture * np.array(scaling.scale)[order] + np.array(scaling.offset)[order]
    expected = expected[..., ::-1] if scaling.blue_first else expected
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
