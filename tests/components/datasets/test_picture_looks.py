"""What pictures are: what one range of values can't tell of all of them is asked."""

import numpy as np
import pytest
import tifffile
from scenes import names, save, scene
from surveys import COUNT

from components.common.errors import UserError
from components.common.picture_settings import PictureSettings
from components.datasets.survey import survey


def deep(folder, picture_of):
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / f"masks/{name}.png", mask)
        (folder / "images").mkdir(exist_ok=True)
        content = picture_of(image[..., 0], index)
        options = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(folder / f"images/{name}.tif", content, **options)
    return str(folder)


def test_two_depths_side_by_side_are_asked(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.uint16) * (16 if i % 2 else 257))
    with pytest.raises(UserError, match="6 of them have none above 4095.*--value-range 0 65535"):
        survey(root)
    told = survey(root, pictures=PictureSettings(value_range=(0, 65535)))
    assert told.config.pictures.value_range == (0, 65535)


def test_dark_pictures_of_one_depth_are_no_other_depth(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.uint16) * (1 + 20 * i))
    assert survey(root).config.pictures.value_range == (0, 65535)


def test_two_bands_are_asked_for_the_grey(tmp_path):
    root = deep(tmp_path, lambda grey, i: np.stack([grey, 255 - grey], -1))
    with pytest.raises(UserError, match="12 pictures have 2 bands.*--bands 1$"):
        survey(root)
