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
