"""Objects that are found strip by strip, and their outlines, held against SciPy and shapely."""

import tracemalloc

import numpy as np
import pytest
import scipy.ndimage
from rasterio.features import rasterize
from shapely.geometry import MultiPolygon, Polygon

from components.predictor.connected import find_connected
from components.predictor.outlines import outlines

TOUCHING = np.ones((3, 3))


def strips(mask, height):
    return (mask[top : top + height] for top in range(0, len(mask), height))


def pixels_of(one, outline, shape):
    """As shapely and GDAL see its outline: valid, and covering these pixels."""
    polygons = [Polygon(outer, holes) for outer, *holes in outline]
    whole = MultiPolygon(polygons)
    assert whole.is_valid and whole.area == one.area
    for polygon in polygons:
        assert len(polygon.simplify(0).exterior.coords) == len(polygon.exterior.coords)
    return rasterize([whole], shape).astype(bool)


@pytest.mark.parametrize("height", [1, 3, 7, 100])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_noise_has_every_form_there_is(share, height):
    """Holes, things in holes, corners that touch, holes that touch their outline."""
    rng = np.random.default_rng(int(share * 100) + height)
    for shape in ((40, 37), (25, 1), (1, 30), (1, 1)):
        mask = np.where(rng.random(shape) < share, 1, rng.choice([0, 2, 255], shape))
        mask = mask.astype(np.uint8)
        found = list(find_connected(strips(mask, height), [2, 1]))
        around = dict(zip(map(id, found), outlines(found), strict=True))  # of all at once
        for index in (1, 2):
            labels, count = scipy.ndimage.label(mask == index, TOUCHING)
            own = [one for one in found if one.class_index == index]
            assert len(own) == count
            for one in own:
                pixels = pixels_of(one, around[id(one)], shape)
                (number,) = np.unique(labels[pixels])
                np.testing.assert_array_equal(labels == number, pixels)
                rows, columns = scipy.ndimage.find_objects(labels)[number - 1]
                assert one.box == (
                    *(columns.start, rows.start),
                    *(columns.stop - columns.start, rows.stop - rows.start),
                )
        assert not any(one.class_index not in (1, 2) for one in found)


@pytest.mark.parametrize("height", [1, 2, 50])
def test_a_spiral_is_one_object_over_all_strips(height):
    mask = np.zeros((41, 41), np.uint8)
    for ring in range(0, 20, 2):
        mask[ring, ring : -ring or None] = mask[-1 - ring, ring : -ring or None] = 1
        mask[ring : -ring or None, ring] = mask[ring : -ring or None, -1 - ring] = 1
        mask[ring + 1, ring] = 0  # open it,
        mask[ring + 2, ring + 1] = 1  # and lead on to the next one
    (one,) = find_connected(strips(mask, height), [1])
    np.testing.assert_array_equal(pixels_of(one, *outlines([one]), mask.shape), mask)


def test_a_ring_of_corners_is_one_object_of_four_squares():
    """One polygon around them would touch itself; a hole in it would cut it apart."""
    mask = np.array([[0, 3, 0], [3, 0, 3], [0, 3, 0]], np.uint8)
    (one,) = find_connected([mask], [3])
    (polygons,) = outlines([one])
    assert [len(polygon) for polygon in polygons] == [1, 1, 1, 1]
    assert one.area == 4 and one.box == (0, 0, 3, 3)


def test_a_hole_that_touches_the_outline_is_a_hole():
    mask = np.ones((4, 4), np.uint8)
    mask[1, 1] = mask[0, 0] = 0
    (one,) = find_connected([mask], [1])
    (((outer, hole),),) = outlines([one])
    assert {tuple(point) for point in hole.tolist()} == {(1, 1), (2, 1), (2, 2), (1, 2)}
    assert [1, 1] in outer.tolist()


def test_nothing_is_no_object():
    assert list(find_connected([np.full((5, 5), 255, np.uint8)], [0])) == []
    assert (
        list(find_connected([], [0]))
        == []
        == list(find_connected([np.zeros((0, 5), np.uint8)], [0]))
    )
    assert list(find_connected([np.zeros((5, 5), np.uint8)], [])) == [] == outlines([])


def test_memory_is_that_of_a_strip_however_many_there_are():
    strip = np.random.default_rng(0).choice([0, 1], (50, 400), p=[0.7, 0.3]).astype(np.uint8)
    strip[-1] = 0

    def peak(number):
        tracemalloc.start()
        count = sum(1 for _ in find_connected((strip for _ in range(number)), [1]))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return count, most

    few, many = peak(3), peak(60)
    assert many[0] == 20 * few[0] and many[1] < 1.1 * few[1]
