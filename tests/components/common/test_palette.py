import numpy as np

from components.common import palette


def test_classes_have_distinct_colors_and_the_rest_is_black():
    colors = palette.class_colors(30)
    assert colors.shape == (256, 3) and colors.dtype == np.uint8
    assert len({tuple(color) for color in colors[:30]}) == 30
    assert not colors[30:].any()
