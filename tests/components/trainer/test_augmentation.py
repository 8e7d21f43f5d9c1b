import numpy as np
import pytest
import tensorflow as tf

from components.trainer.augmentation import augment
from components.trainer.config import AugmentationConfig

SEED = tf.constant([3, 5])


def batch(count=32, height=16, width=24):
    """Pictures that show their own mask: what moves one must move the other."""
    mask = np.random.default_rng(0).integers(0, 3, (count, height // 4, width // 4))
    mask = mask.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    image = (mask[..., None].repeat(3, -1) / 2).astype(np.float32)
    return tf.constant(image), tf.constant(mask)


def test_flips_are_the_same_for_picture_and_mask():
    image, mask = batch()
    flipped, mask_flipped = augment(image, mask, SEED, AugmentationConfig())
    np.testing.assert_allclose(flipped[..., 0] * 2, mask_flipped)
    same = np.all(mask_flipped == mask, axis=(1, 2))
    mirrored = np.all(mask_flipped == mask[:, :, ::-1], axis=(1, 2))
    assert np.all(same | mirrored)
    assert 5 < mirrored.sum() < 27  # half of them, by chance


def test_crops_are_the_same_for_picture_and_mask():
    config = AugmentationConfig(horizontal_flip=False, min_scale=0.5)
    image, mask = batch()
    cropped, mask_cropped = augment(image, mask, SEED, config)
    assert cropped.shape == image.shape and mask_cropped.dtype == mask.dtype
    assert not np.array_equal(mask_cropped, mask)
    assert set(np.unique(mask_cropped)) <= {0, 1, 2}
    # Interpolated pixels lie between classes; where the picture shows a pure one,
    # away from edges, both must agree.
    shown = cropped[..., 0].numpy() * 2
    pure = np.abs(shown - shown.round()) < 1e-3
    assert pure.mean() > 0.4
    assert (shown.round()[pure] == mask_cropped.numpy()[pure]).mean() > 0.97


def test_colours_change_the_picture_only_and_stay_in_range():
    config = AugmentationConfig(horizontal_flip=False, brightness=0.3, contrast=0.5, saturation=0.5)
    image, mask = batch()
    recolored, same = augment(image, mask, SEED, config)
    np.testing.assert_array_equal(same, mask)
    assert not np.allclose(recolored, image)
    assert recolored.numpy().min() >= 0 and recolored.numpy().max() <= 1


@pytest.mark.parametrize("other", [[3, 6], [4, 5]])
def test_the_seed_decides(other):
    config = AugmentationConfig(min_scale=0.5, brightness=0.2)
    image, mask = batch()
    first, again = (augment(image, mask, SEED, config) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], augment(image, mask, tf.constant(other), config)[0])


def test_nothing_asked_nothing_done():
    image, mask = batch()
    result = augment(image, mask, SEED, AugmentationConfig(horizontal_flip=False))
    np.testing.assert_array_equal(result[0], image)
    np.testing.assert_array_equal(result[1], mask)
