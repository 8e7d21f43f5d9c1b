"""Objects in a mask, held against each object's own mask."""

import numpy as np
import pytest
import scipy.ndimage
from pycocotools import mask as run_lengths

from components.predictor.objects import find_objects


@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 1.0])
def test_each_object_is_encoded_as_if_it_were_alone(share):
    mask = (np.random.default_rng(0).random((50, 71)) < share).astype(np.uint8) * 2
    found = find_objects(mask, [2])
    pieces, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    assert len(found) == count
    for number, one in enumerate(found, start=1):
        alone = np.asfortranarray(pieces == number, dtype=np.uint8)
        encoded = run_lengths.encode(alone)
        assert one.counts.encode() == encoded["counts"]
        assert one.area == alone.sum() and one.class_index == 2
        assert list(one.box) == run_lengths.toBbox(encoded).tolist()
    assert find_objects(mask, [1]) == [] == find_objects(mask, [])
