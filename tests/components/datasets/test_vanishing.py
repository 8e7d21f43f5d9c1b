"""What is counted as lost is what TensorFlow's own resizing loses."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from components.datasets import vanishing


@pytest.mark.parametrize("shape", [(50, 70), (128, 300), (400, 220)])
def test_lost_things_are_those_that_resizing_does_not_show(shape):
    mask = (np.random.default_rng(3).random(shape) > 0.97).astype(np.uint8)
    things, number = scipy.ndimage.label(mask)
    objects = {}
    vanishing.count(mask, objects, [(96, 64), 128])
    assert objects.keys() == {1} and objects[1].count == number
    for size, sides in (((96, 64), (96, 64)), (128, (128, 128))):
        seen = tf.image.resize(things[..., None], sides, "nearest").numpy()
        assert objects[1].lost[size, "stretch"] == number - np.count_nonzero(np.unique(seen))
    lost = objects[1].lost[(96, 64), "stretch"]
    assert bool(vanishing.told({"speck": objects[1]}, (96, 64))) == (lost > 0.02 * number)


def test_more_vanishes_where_pictures_are_padded():
    """An oblong picture is smaller in the model's square than one that is stretched over it."""
    mask = (np.random.default_rng(3).random((50, 200)) > 0.97).astype(np.uint8)
    things, number = scipy.ndimage.label(mask)
    objects = {}
    vanishing.count(mask, objects, [128], ["stretch", "pad"])
    seen = tf.image.resize(things[..., None], (32, 128), "nearest").numpy()
    padded = number - np.count_nonzero(np.unique(seen))
    assert objects[1].lost[128, "pad"] == padded > objects[1].lost[128, "stretch"]
    (line,) = vanishing.told({"speck": objects[1]}, 128, "pad")
    assert line.startswith(f"{padded / number:.0%} of the {number} things of class speck vanish")


def test_how_thick_things_are():
    """Lines have their width, wherever they go; squares half their side."""
    mask = np.zeros((200, 200), np.uint8)
    mask[50:53, :] = 1
    mask[:, 120:123] = 1
    for step in range(5):
        mask[100 + 18 * step : 110 + 18 * step, 10:20] = 2
    objects = {}
    vanishing.count(mask, objects)
    assert objects[1].thickness == pytest.approx(3, rel=0.02)
    assert objects[2].thickness == pytest.approx(5)


def test_of_a_very_large_mask_the_middle_rows_tell(monkeypatch):
    """Roads five rows apart, each in one piece: the model's rows hit some of them."""
    monkeypatch.setattr(vanishing, "_MOST_PIXELS", 40 * 60)
    mask = np.zeros((100, 60), np.uint8)
    mask[2::5] = 1
    mask[:30] = 2  # not within the 40 rows in the middle
    objects = {}
    vanishing.count(mask, objects, [20, 24], ["stretch"])
    assert objects.keys() == {1} and objects[1].count == 8
    assert objects[1].thickness == pytest.approx(1)
    for side in (20, 24):
        rows = tf.image.resize(np.arange(100)[:, None, None], (side, 1), "nearest").numpy().ravel()
        shown = [row for row in rows if row % 5 == 2 and 30 <= row < 70]
        assert objects[1].lost[side, "stretch"] == 8 - len(shown)
