"""What `segline init` proposes for pictures of some shapes."""

import pytest

from pipeline.commands.proposed_fit import propose_fit


@pytest.mark.parametrize(
    ("sizes", "fit", "reason"),
    [
        ([(375, 500)] * 80 + [(500, 375)] * 20, "stretch", "about 1.3 times as wide as high"),
        ([(480, 480)] * 9, "stretch", "about 1 times"),
        ([(1080, 1920)] * 9, "stretch", "about 1.8 times as wide as high: image_size [96, 160] "),
        ([(1920, 1080)] * 9, "stretch", "about 0.56 times as wide as high: image_size [160, 96] "),
        ([(1000, 8000)] * 9, "stretch", "image_size [32, 352] would keep that shape"),
        ([(1080, 1920)] * 6 + [(1920, 1080)] * 6, "pad", "are 0.56 to 1.8 times as wide as high"),
        # One panorama among a hundred others changes nothing.
        ([(480, 640)] * 99 + [(480, 6400)], "stretch", "about 1.3 times"),
        ([], "stretch", "as in the tutorial"),
    ],
)
def test_the_proposal(sizes, fit, reason):
    heights, widths = [height for height, _ in sizes], [width for _, width in sizes]
    found = propose_fit(heights, widths, 128)
    assert found.fit == fit and reason in found.reason


@pytest.mark.parametrize(
    ("side", "thickness", "fit"),
    [
        (2048, {"road": 3.0, "wood": 90.0}, "tiles"),
        (2048, {"road": 30.0, "wood": 90.0}, "stretch"),
        (500, {"road": 3.0}, "stretch"),  # an image_size of 512 is simpler
        (500, {"border": 10.0}, "stretch"),
    ],
)
def test_what_is_too_thin_to_be_shrunk_gets_windows(side, thickness, fit):
    found = propose_fit([side] * 9, [side] * 9, 128, thickness)
    assert found.fit == fit
    if fit == "tiles":
        assert "class road are about 3 pixels thick, and the pictures 2048 on" in found.reason
