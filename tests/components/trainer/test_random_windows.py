"""What of a picture is trained on, and what is counted in validation."""

import numpy as np
import pytest
import tensorflow as tf

from components.common.picture_fit import PictureFit
from components.trainer import random_windows as windows

IGNORED = 255


def scene(height, width, rare=()):
    """A picture whose pixels tell where they are, and a mask with single pixels of class 1."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.float16)
    mask = np.zeros((height, width), np.uint8)
    for row, column in rare:
        mask[row, column] = 1
    return tf.constant(image), tf.constant(mask)


def fit(size=(32, 64), **tiles):
    return PictureFit(image_size=size, fit="tiles", tiles=tiles)


def test_windows_are_pieces_of_the_picture_and_of_its_mask():
    image, mask = scene(100, 150, [(70, 90)])
    settings = fit(windows_per_picture=200, rare_share=0)
    images, masks = windows.random_windows(image, mask, [1, 2], settings, 0.5)
    assert images.shape == (200, 32, 64, 3) and masks.shape == (200, 32, 64)
    tops, lefts = images[:, 0, 0, 0].numpy().astype(int), images[:, 0, 0, 1].numpy().astype(int)
    for one, its_mask, top, left in zip(images, masks, tops, lefts, strict=True):
        np.testing.assert_array_equal(one, image[top : top + 32, left : left + 64])
        np.testing.assert_array_equal(its_mask, mask[top : top + 32, left : left + 64])
    # Anywhere, the edges too: each start as likely as another.
    assert tops.min() <= 2 and tops.max() >= 100 - 32 - 2
    assert abs(tops.mean() - 34) < 5 and abs(lefts.mean() - 43) < 6


def test_the_same_seed_takes_the_same_windows():
    image, mask = scene(90, 90)
    first = windows.random_windows(image, mask, [3, 4], fit(), 0.5)[0]
    np.testing.assert_array_equal(first, windows.random_windows(image, mask, [3, 4], fit(), 0.5)[0])
    assert (first != windows.random_windows(image, mask, [3, 5], fit(), 0.5)[0]).numpy().any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_windows_that_hold_a_rare_class_come_as_often_as_asked(share):
    """One pixel in 400x400: by chance hardly any window would have it."""
    image, mask = scene(400, 400, [(399, 0)])  # in the corner
    settings = fit((32, 32), windows_per_picture=300, rare_share=share)
    _, masks = windows.random_windows(image, mask, [0, 0], settings, 0.5)
    holding = np.mean([1 in one.numpy() for one in masks])
    # Two classes are there: half of them are about the other one.
    assert holding == pytest.approx(share / 2, abs=0.08)


def test_a_picture_smaller_than_a_window_is_padded_and_that_counts_nowhere():
    image, mask = scene(1, 40)
    images, masks = windows.random_windows(image, mask, [0, 0], fit(), 0.5)
    assert (masks[:, 0, :40].numpy() == 0).all()
    assert (masks[:, 1:].numpy() == IGNORED).all() and (masks[:, :, 40:].numpy() == IGNORED).all()
    assert (images[:, 1:].numpy() == 0.5).all()


def test_a_picture_without_any_class_gives_windows_too():
    image, _ = scene(80, 80)
    nothing = tf.fill([80, 80], tf.constant(IGNORED, tf.uint8))
    _, masks = windows.random_windows(image, nothing, [0, 0], fit(rare_share=1.0), 0.5)
    assert (masks.numpy() == IGNORED).all()


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 64), (100, 150), (10, 200), (64, 1)])
def test_the_grid_has_each_pixel_once(height, width):
    image, _ = scene(height, width)
    numbers = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint8)
    images, masks = windows.grid_windows(image, tf.constant(numbers), fit(), 0.5)
    seen = np.zeros((height, width), int)
    for one, its_mask in zip(images.numpy(), masks.numpy(), strict=True):
        counted = its_mask != IGNORED
        rows, columns = one[counted][:, 0].astype(int), one[counted][:, 1].astype(int)
        np.add.at(seen, (rows, columns), 1)
        np.testing.assert_array_equal(its_mask[counted], numbers[rows, columns])
    np.testing.assert_array_equal(seen, 1)


def test_at_another_scale_windows_cover_more():
    image, mask = scene(300, 300)
    settings = fit((32, 32), scale=0.5, windows_per_picture=1)
    (one,), (its_mask,) = windows.random_windows(image, mask, [0, 0], settings, 0.5)
    assert one.shape == (32, 32, 3) and its_mask.shape == (32, 32)
    # Each pixel is the mean of about two by two: neighbours are two rows apart.
    np.testing.assert_allclose(np.diff(one.numpy()[2:-2, 5, 0]), 2, atol=0.05)
    _, masks = windows.grid_windows(image, mask, settings, 0.5)
    assert len(masks) == 25
    assert (masks.numpy() == 0).sum() == pytest.approx(150 * 150, rel=0.02)
