"""Pictures of many bands as bytes: what NumPy writes is what the graph reads, or it is refused."""

import io

import numpy as np
import pydantic
import pytest
import tensorflow as tf

from components.common import band_tensors, bands
from components.common.bands import BandsConfig

DEPTHS = ("uint8", "uint16", "int16", "float32")
RNG = np.random.default_rng(0)


def drawn(depth, channels, shape=(5, 7)):
    if depth == "float32":
        return RNG.normal(0, 1e6, (*shape, channels)).astype(depth)
    info = np.iinfo(depth)
    return RNG.integers(info.min, info.max, (*shape, channels), depth, endpoint=True)


def saved(values):
    """As a client does it."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_graph_reads_what_numpy_writes(depth, channels):
    config = BandsConfig(count=channels, depth=depth)
    pixels = drawn(depth, channels)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(encoded):
        return band_tensors.decode(encoded, config)

    forms = [saved(pixels), saved(pixels.astype(f"<{pixels.dtype.str[1:]}")), bands.to_npy(pixels)]
    if channels == 1:
        forms.append(saved(pixels[..., 0]))
    if band_tensors.has_png(config):
        forms.append(tf.io.encode_png(pixels).numpy())
    for form in forms:
        np.testing.assert_array_equal(decode(form).numpy(), pixels)
    assert band_tensors.has_png(config) == (depth in ("uint8", "uint16") and channels in (1, 3, 4))
    headers = band_tensors.read_headers(tf.constant(forms[:3]), config)
    assert headers.good.numpy().all() and headers.size.numpy().tolist() == [[5, 7]] * 3
    assert bands.npy_size(forms[0]) == (7, 5)
    np.testing.assert_array_equal(bands.from_npy(forms[2]), pixels)


def test_what_is_no_such_array_is_told_from_its_header():
    config = BandsConfig(count=4, depth="uint16")
    good = saved(drawn("uint16", 4))
    header, values = good[:128], good[128:]
    bad = {
        "empty": b"",
        "one byte": b"\x93",
        "magic alone": good[:8],
        "header cut": good[:60],
        "values cut": good[:-1],
        "values twice": good + values,
        "three bands": saved(drawn("uint16", 3)),
        "five bands": saved(drawn("uint16", 5)),
        "two dimensions": saved(drawn("uint16", 4)[..., 0]),
        "other depth": saved(drawn("int16", 4)),
        "big-endian": saved(drawn("uint16", 4).astype(">u2")),
        "columns first": saved(np.asfortranarray(drawn("uint16", 4))),
        "no pixels": saved(drawn("uint16", 4, (0, 7))),
        "promises gigabytes": header.replace(b"(5, 7, 4)", b"(9999999, 9999999, 4)")[:128] + values,
        "pickled": saved(np.array([[[object()] * 4]], object)),
        "text": b"no picture at all",
        "PNG of 8 bits": tf.io.encode_png(drawn("uint8", 4)).numpy(),
        "PNG of three": tf.io.encode_png(drawn("uint16", 3)).numpy(),
    }
    encoded = tf.constant([*bad.values(), good])
    found = band_tensors.read_headers(encoded, config).good | band_tensors.is_png_of(
        encoded, config
    )
    assert dict(zip(bad, found.numpy()[:-1].tolist(), strict=True)) == dict.fromkeys(bad, False)
    assert found.numpy()[-1]
    for one in bad.values():
        with pytest.raises(tf.errors.InvalidArgumentError):
            band_tensors.decode(tf.constant(one), config)


def test_a_files_bands_are_taken_by_number_and_in_order():
    config = BandsConfig(count=5, take=(4, 1), depth="uint16", shown=(1,))
    pixels = drawn("uint16", 5)
    np.testing.assert_array_equal(bands.taken(pixels, config), pixels[..., [3, 0]])
    big = bands.taken(pixels.astype(">u2"), config)
    np.testing.assert_array_equal(bands.from_npy(bands.to_npy(big)), pixels[..., [3, 0]])
    assert config.channels == 2 and config.shown_channels == [1, 1, 1]
    float32 = BandsConfig(count=1, depth="float32")
    np.testing.assert_array_equal(bands.taken(np.ones((2, 3)), float32), np.ones((2, 3, 1)))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (drawn("uint16", 3), "3 bands, not 4"),
        (drawn("uint16", 5), "5 bands, not 4"),
        (drawn("uint8", 4), "values are of uint8, not of uint16"),
        (drawn("uint16", 4).astype(np.float64), "values are of float64, not of uint16"),
    ],
)
def test_a_file_of_other_bands_is_told(pixels, message):
    with pytest.raises(OSError, match=message):
        bands.taken(pixels, BandsConfig(count=4, depth="uint16"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_told(value):
    pixels = drawn("float32", 2)
    pixels[1, 1, 0] = value
    with pytest.raises(OSError, match="no number"):
        bands.taken(pixels, BandsConfig(count=2, depth="float32"))
    # (a band that nobody takes may have them)
    bands.taken(pixels, BandsConfig(count=2, take=(2,), depth="float32"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"take": [5]}, "take: there is no band 5, count is 4"),
        ({"shown": [6]}, "shown: there is no band 6"),
        ({"take": [1, 2, 3], "shown": [4]}, "shown: band 4 is none that the model sees"),
        ({"depth": "uint32"}, "depth"),
    ],
)
def test_settings_that_do_not_fit(values, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        BandsConfig.model_validate({"count": 4, "depth": "uint16", **values})


def test_a_person_is_shown_three_or_one():
    config = BandsConfig(count=4, depth="uint16", shown=(4, 1, 2))
    pixels = drawn("uint16", 4, (50, 60))
    seen = bands.shown(pixels, config)
    chosen = pixels[..., [3, 0, 1]].astype(float)
    low, high = np.percentile(chosen, [2, 98])
    np.testing.assert_allclose(seen, np.clip((chosen - low) / (high - low), 0, 1) * 255, atol=1)
    eight = drawn("uint8", 1)
    grey = bands.shown(eight, BandsConfig(count=1, depth="uint8"))
    np.testing.assert_array_equal(grey, np.repeat(eight, 3, -1))
    flat = np.full((4, 4, 2), 7, np.int16)
    assert bands.shown(flat, BandsConfig(count=2, depth="int16")).max() == 0
