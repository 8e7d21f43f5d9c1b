import numpy as np
import pytest
import tensorflow as tf

from components.common import schema
from components.common.picture_fit import PictureFit
from components.transform.preprocessing import prepare_images, prepare_masks, preprocessing_fn


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation with half-pixel centres, written out."""
    rows = np.clip((np.arange(height) + 0.5) * image.shape[0] / height - 0.5, 0, None)
    columns = np.clip((np.arange(width) + 0.5) * image.shape[1] / width - 0.5, 0, None)
    y0, x0 = np.floor(rows).astype(int), np.floor(columns).astype(int)
    y1 = np.minimum(y0 + 1, image.shape[0] - 1)
    x1 = np.minimum(x0 + 1, image.shape[1] - 1)
    dy, dx = (rows - y0)[:, None, None], (columns - x0)[None, :, None]
    at = lambda y, x: image[y][:, x].astype(np.float64)  # noqa: E731
    top = at(y0, x0) * (1 - dx) + at(y0, x1) * dx
    bottom = at(y1, x0) * (1 - dx) + at(y1, x1) * dx
    return top * (1 - dy) + bottom * dy


@pytest.mark.parametrize("shape", [(50, 70), (33, 20), (64, 32)])
def test_pictures_are_resized_bilinearly_and_scaled(shape, encode_picture):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    result, size, box = prepare_images(tf.constant([encode_picture(image)]), (64, 32))
    np.testing.assert_allclose(result[0], bilinear(image, 64, 32) / 255, atol=1e-5)
    assert size.numpy().tolist() == [list(shape)]
    assert box.numpy().tolist() == [[0, 0, 64, 32]]


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in ("PNG", "JPEG") for mode in ("L", "RGB")]
    + [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("PNG", "LA"), ("GIF", "P")],
)
def test_every_kind_of_picture_comes_out_rgb(kind, mode, encode_picture):
    corner = np.full((40, 40, 3), 255, np.uint8)
    corner[:20, :20] = 0  # black and white are in every mode and palette
    encoded = encode_picture(corner, kind, mode)
    result, _, _ = prepare_images(tf.constant([encoded]), (32, 32))
    assert result.shape == (1, 32, 32, 3) and result.dtype == tf.float32
    expected = bilinear(corner, 32, 32) / 255
    np.testing.assert_allclose(result[0], expected, atol=0.08 if kind == "JPEG" else 1e-5)


def test_masks_are_resized_by_nearest_neighbour_and_shifted(encode_picture, pet_classes):
    mask = np.random.default_rng(0).integers(1, 4, (50, 70)).astype(np.uint8)
    result = prepare_masks(tf.constant([encode_picture(mask)]), (32, 64), pet_classes).numpy()[0]
    rows = np.floor((np.arange(32) + 0.5) * 50 / 32).astype(int)
    columns = np.floor((np.arange(64) + 0.5) * 70 / 64).astype(int)
    np.testing.assert_array_equal(result, mask[rows][:, columns] - 1)


def test_gaps_and_ignored_values(encode_picture):
    classes = schema.ClassTable(values={"road": 7, "sky": 23}, ignore_values=(255,))
    mask = np.repeat(np.array([[7, 23, 255, 7]], np.uint8), 4, axis=0)
    result = prepare_masks(tf.constant([encode_picture(mask)]), (4, 4), classes).numpy()
    assert result[0, 0].tolist() == [0, 1, schema.IGNORE_INDEX, 0]


def test_a_value_that_no_class_has(encode_picture, pet_classes):
    mask = encode_picture(np.zeros((4, 4), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="256 is not in .0, 256."):
        prepare_masks(tf.constant([mask]), (4, 4), pet_classes)


def test_preprocessing_fn_gives_the_contracts_features(encode_picture, pet_classes):
    image = encode_picture(np.zeros((10, 20, 3), np.uint8))
    mask = encode_picture(np.ones((10, 20), np.uint8))
    outputs = preprocessing_fn(
        {schema.IMAGE: tf.constant([[image]] * 2), schema.MASK: tf.constant([[mask]] * 2)},
        {
            "transform": PictureFit(image_size=(32, 64)).model_dump_json(),
            "classes": pet_classes.model_dump_json(),
        },
    )
    assert outputs[schema.IMAGE].shape == (2, 32, 64, 3)
    assert outputs[schema.MASK].shape == (2, 32, 64)
    assert outputs[schema.MASK].dtype.is_integer
    assert outputs[schema.ORIGINAL_SIZE].numpy().tolist() == [[10, 20]] * 2
