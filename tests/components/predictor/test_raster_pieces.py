"""Which pieces a raster is cut into."""

import numpy as np
import pytest

from components.common.bands import BandsConfig
from components.common.picture_fit import PictureFit
from components.predictor.raster_pieces import pieces_of

TILES = PictureFit(image_size=(128, 128), fit="tiles")
MEGABYTES = 64  # of a request, by default


@pytest.mark.parametrize(("count", "depth"), [(4, "uint16"), (13, "float32"), (200, "int16")])
def test_pieces_of_many_bands_are_no_more_than_a_request_may_have(count, depth):
    bands = BandsConfig(count=count, depth=depth)
    kept = np.zeros((5000, 4321), np.uint8)
    for rows, columns in pieces_of(TILES, *kept.shape, bands):
        pixels = (rows.end - rows.begin) * (columns.end - columns.begin)
        assert pixels * count * np.dtype(depth).itemsize <= MEGABYTES * 10**6
        kept[rows.keep_from : rows.keep_to, columns.keep_from : columns.keep_to] += 1
    assert (kept == 1).all()
