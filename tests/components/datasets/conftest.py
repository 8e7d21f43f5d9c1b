"""What tests of picture folders share."""

import pytest
from picture_folders import mask, picture, values


@pytest.fixture
def folder(tmp_path):
    """Forty pictures below two folders, with PNG masks."""
    truths = {}
    for index in range(40):
        name = f"{'ab'[index % 2]}/{index}"
        picture(tmp_path / "images" / f"{name}.jpg")
        truths[f"{name}.jpg"] = values()
        mask(tmp_path / "masks" / f"{name}.png", truths[f"{name}.jpg"])
    return tmp_path, truths
