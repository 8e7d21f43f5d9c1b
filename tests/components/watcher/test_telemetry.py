"""Answers with telemetry, and what a served version is asked."""

from unittest import mock

import numpy as np
import pytest
import small_models
import tensorflow as tf
from small_models import drawn, mask_of

from components.common import schema, telemetry
from components.common.errors import UserError
from components.common.picture_fit import PictureFit
from components.trainer.tiled_pictures import TiledPictures
from components.transform.preprocessing import pack_images
from components.watcher.observer import Observer


def looks(pixels):
    """Brightness, contrast and sharpness by their definitions, with NumPy."""
    grey = (pixels / 255).mean(-1)
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
    laplacian = (windows * kernel).sum((-1, -2))
    return [grey.mean(), grey.std(), laplacian.std()]


def test_telemetry_is_what_numpy_finds(answers):
    shapes = [(32, 16), (13, 32), (32, 32)]
    pixels = [drawn(seed, shape) for seed, shape in enumerate(shapes)]
    out = answers("watched", [small_models.png(one) for one in pixels])
    check(out, pixels, 1e-5)


def test_telemetry_of_windows_is_that_of_the_whole_picture(network):
    fit = PictureFit(image_size=small_models.SIZE, fit="tiles", tiles={"overlap": 8})
    shown = TiledPictures(fit, small_models.CLASSES, watched=True)
    pixels = [drawn(seed, shape) for seed, shape in enumerate([(32, 16), (40, 70)])]
    images, sizes = pack_images(tf.constant([small_models.png(one) for one in pixels]))
    features = {schema.IMAGE: images, schema.ORIGINAL_SIZE: sizes}
    out = shown.answer(features, lambda windows: tf.nn.softmax(network(windows)))
    # (Pictures are packed in half precision.)
    check({name: value.numpy() for name, value in out.items()}, pixels, 1e-3)


def check(out, pixels, precision):
    found = np.stack([out[name] for name in ("brightness", "contrast", "sharpness")], -1)
    np.testing.assert_allclose(found, [looks(one) for one in pixels], atol=precision)
    assert out["size"].tolist() == [list(one.shape[:2]) for one in pixels]
    masks = [mask_of(png) for png in out["mask_png_bytes"]]
    shares = [np.bincount(mask.ravel(), minlength=2) / mask.size for mask in masks]
    np.testing.assert_allclose(out["class_shares"], shares, atol=1e-6)
    assert out["class_shares"].dtype == np.float32 and out["class_shares"].max() < 1


def test_shares_of_many_pixels_are_exact():
    """Counters in float32 stop at 2^24. (Each thread has its own: seen to fail with up to two.)"""
    mask = np.zeros((6000, 6000), np.uint8)
    mask[:12] = 1
    shares = telemetry.class_shares(tf.constant(mask), 3)
    assert shares.dtype == tf.float32
    np.testing.assert_allclose(shares, [0.998, 0.002, 0], rtol=1e-6)


def test_without_telemetry_answers_are_what_they_were(answers):
    pictures = [small_models.png(drawn(seed, (20 + seed, 40))) for seed in range(5)]
    without, with_it = (answers(name, pictures) for name in ("plain", "watched"))
    assert sorted(without) == ["confidence", "mask", "mask_png_bytes"]
    for name, value in without.items():
        assert value.tolist() == with_it[name].tolist(), name


def test_a_model_without_telemetry_is_asked_the_same(plain, watched):
    pictures = [small_models.png(drawn(seed, (20 + seed, 40))) for seed in range(5)]
    for one, other in zip(plain.answers(pictures), watched.answers(pictures), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for one, other in zip(plain.looks(pictures), watched.answers(pictures), strict=True):
        assert one == pytest.approx({name: other[name] for name in one}, rel=1e-5)


def test_pictures_of_their_own_sizes_are_asked_one_by_one(watched):
    """In a batch all are enlarged to the largest."""
    asked = []

    def count(batch):
        asked.append(len(batch))
        return [{}] * len(batch)

    with mock.patch.multiple(watched, _tiles=True, _answer=count, _look=count):
        assert watched.answers([b"a"] * 3) == watched.looks([b"a"] * 3) == [{}] * 3
    assert asked == [1] * 6


def test_a_model_of_an_earlier_segline_is_one_clear_error(models):
    with (
        mock.patch.object(schema, "CONTENT_BOX", "of today"),
        pytest.raises(UserError, match="earlier segline: train again"),
    ):
        Observer(models["plain"])
