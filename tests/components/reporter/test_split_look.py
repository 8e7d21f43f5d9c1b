"""What looks doubtful in a split depends on what is usual in it."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema
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
    features = {schema.IMAGE: png(picture), schema.MASK: png(MASK)}
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
