"""What looks doubtful in a split depends on what is usual in it."""

import base64
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.reporter import images
from components.reporter.split_look import SplitViewer, all_doubtful

CLASSES = schema.ClassTable(values={"ground": 0, "thing": 1})
MASK = np.zeros((48, 48), np.uint8)
MASK[12:30, 8:36] = 1


def png(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def example(fits):
    picture = np.random.default_rng(0).integers(90, 110, (48, 48, 3), np.uint8)
    if fits:
        picture[MASK == 1] += 100
    return record(picture, MASK)


def record(picture, mask):
    features = {schema.IMAGE: png(picture), schema.MASK: png(mask)}
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.mark.parametrize(("without_edges", "doubtful"), [(1, ["p0"]), (4, [])])
def test_edges_tell_nothing_where_most_masks_have_others(without_edges, doubtful):
    viewer = SplitViewer("train", CLASSES, count=6, image_size=(48, 48))
    for number in range(6):
        viewer.add(f"p{number}", example(fits=number >= without_edges))
    assert [one.example_id for one in all_doubtful([viewer])] == doubtful
    assert [one.example_id for one in viewer.seen().thumbnails if one.reasons] == doubtful


def doubts(picture, mask):
    classes = schema.ClassTable(values={"ground": 0, "thing": 1}, ignore_values=(255,))
    viewer = SplitViewer("train", classes, count=1, image_size=(48, 48))
    viewer.add("it", record(picture, mask))
    found = viewer.doubtful.get("it")
    return found.reasons if found else ()


def test_edges_are_those_of_the_colours_where_the_brightness_is_one():
    picture = np.random.default_rng(0).integers(0, 6, (48, 48, 3), np.uint8)
    picture[MASK == 0] += np.array((30, 140, 40), np.uint8)  # green
    picture[MASK == 1] += np.array((20, 50, 140), np.uint8)  # blue, as bright
    assert doubts(picture, MASK) == ()
    assert "no edges" in doubts(np.full_like(picture, 90), MASK)[0]


def test_a_mask_of_ignored_pixels_alone_shows_no_class():
    picture = np.zeros((48, 48, 3), np.uint8)
    assert doubts(picture, np.full((48, 48), 255, np.uint8)) == (
        "its mask shows no class: all of it is ignored",
    )
    assert doubts(picture, MASK * 0) == ("its mask is all of one class",)


@pytest.mark.parametrize(("height", "width"), [(1, 300), (300, 1), (2, 2000)])
def test_strips_can_be_seen_and_do_not_fill_the_page(height, width):
    """On the page pictures are as wide as their column, and at most 20rem high."""
    strip = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    shown = Image.open(io.BytesIO(base64.b64decode(images.photograph(strip, 192).split(",")[1])))
    assert max(shown.size) == 192 and min(shown.size) in (12, 13)
    classes = images.mask(strip[..., 0] % 2, 2).split(",")[1]
    assert min(Image.open(io.BytesIO(base64.b64decode(classes))).size) >= 12
