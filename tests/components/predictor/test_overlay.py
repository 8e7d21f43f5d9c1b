import numpy as np
from PIL import Image

from components.common.palette import class_colors
from components.predictor.overlay import mask_image, overlay_image

MASK = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 255, (2, 3, 3)).astype(np.uint8)


def test_a_mask_keeps_its_values_and_shows_the_palette():
    image = mask_image(MASK, 3)
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), MASK)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), class_colors(3)[MASK])


def test_shown_classes_are_blended_and_others_left_alone():
    overlay = overlay_image(Image.fromarray(PICTURE), MASK, 3, shown=[0, 2], opacity=0.25)
    expected = PICTURE.astype(float)
    for row, column in np.ndindex(MASK.shape):
        if MASK[row, column] != 1:
            color = class_colors(3)[MASK[row, column]]
            expected[row, column] = 0.75 * expected[row, column] + 0.25 * color
    np.testing.assert_allclose(np.asarray(overlay), expected, atol=1)


def test_nothing_shown_is_the_picture():
    overlay = overlay_image(Image.fromarray(PICTURE), MASK, 3, shown=[])
    np.testing.assert_array_equal(np.asarray(overlay), PICTURE)
