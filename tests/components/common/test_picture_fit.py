"""Letterboxes, held against fractions."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from components.common.picture_fit import content_box, cut_out, inside, place

SIZES = [(1, 1), (1, 5000), (5000, 1), (375, 500), (500, 375), (128, 256), (127, 255), (3, 7)]


def nearest(value):
    """To the nearest whole number, halves up, at least 1."""
    return max(1, int(value + Fraction(1, 2)))


@pytest.mark.parametrize("model", [(128, 128), (32, 64), (64, 32)])
@pytest.mark.parametrize("size", SIZES)
def test_a_padded_picture_keeps_its_proportions_and_lies_in_the_middle(size, model):
    top, left, height, width = content_box(tf.constant(size, tf.int64), model, "pad").numpy()
    scale = min(Fraction(model[0], size[0]), Fraction(model[1], size[1]))
    assert (height, width) == tuple(nearest(side * scale) for side in size)
    assert height == model[0] or width == model[1]
    for before, inner, whole in ((top, height, model[0]), (left, width, model[1])):
        after = whole - inner - before
        assert before >= 0 and after - before in (0, 1)


def test_a_stretched_picture_is_everywhere():
    sizes = tf.constant(SIZES, tf.int64)
    boxes = content_box(sizes, (32, 64), "stretch")
    assert boxes.numpy().tolist() == [[0, 0, 32, 64]] * len(SIZES)
    assert inside(boxes, (32, 64)).numpy().all()


def test_what_is_placed_is_found_again():
    content = tf.constant(np.random.default_rng(0).integers(0, 9, (20, 31, 3)))
    box = content_box(tf.constant([20, 31], tf.int64), (20, 40), "pad")
    placed = place(content, box, (20, 40), 77)
    np.testing.assert_array_equal(cut_out(placed, box), content)
    around = placed.numpy()[~inside(box[tf.newaxis], (20, 40)).numpy()[0]]
    assert around.shape == (20 * 9, 3) and (around == 77).all()
