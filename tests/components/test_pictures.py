"""Pictures that can't be decoded are named by their position in the batch."""

import numpy as np
import pytest
import tensorflow as tf

from components import pictures

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (40, 60, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def good(encode_picture):
    grey, alpha = NOISE[..., 0], np.dstack([NOISE, NOISE[..., 0]])
    return {
        "jpeg": encode_picture(NOISE, "JPEG"),
        "grey jpeg": encode_picture(grey, "JPEG"),
        "png": encode_picture(NOISE),
        "rgba": encode_picture(alpha),
        "palette": encode_picture(NOISE, mode="P"),
        "gif": encode_picture(NOISE, "GIF"),
        "jpeg and more": encode_picture(NOISE, "JPEG") + b"a phone's own data",
    }


@pytest.fixture(scope="module")
def bad(good, encode_picture):
    return {
        "text": b"no picture at all",
        "empty": b"",
        "one byte": b"\xff",
        "truncated jpeg": good["jpeg"][: len(good["jpeg"]) // 2],
        "truncated png": good["png"][:-30],
        "jpeg header and rubbish": b"\xff\xd8\xff" + b"rubbish" * 9,
        "palette bmp": encode_picture(NOISE, "BMP", "P"),
        "tiff": encode_picture(NOISE, "TIFF"),
    }


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def check(encoded):
    return pictures.check_images(encoded, "image_bytes")


def test_good_pictures_pass_unchanged(good):
    batch = list(good.values())
    assert check(tf.constant(batch)).numpy().tolist() == batch
    for one in batch:
        assert check(tf.constant([one])).numpy().tolist() == [one]
    assert check(tf.zeros([0], tf.string)).shape == [0]


def test_each_bad_one_is_named(good, bad):
    for name, content in bad.items():
        batch = [good["jpeg"], good["gif"], content, good["png"]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="image_bytes: .* position 2 of"):
            check(tf.constant(batch))
            pytest.fail(f"{name} passed")


def test_all_bad_ones_are_named(good, bad):
    batch = [good["png"], *bad.values(), good["rgba"]]
    positions = ", ".join(str(index + 1) for index in range(len(bad)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"position {positions} of the batch"):
        check(tf.constant(batch))
