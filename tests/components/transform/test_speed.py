"""A guard against a Transform graph that has become much slower.

The goal itself is in docs/benchmarks.md; this fails only where something is twice off.
"""

import cpu_time
import numpy as np
import pytest
import tensorflow as tf

from components.common import pictures
from components.datasets.synthetic_pets import draw_pet
from components.transform.preprocessing import prepare_images, prepare_masks

pytestmark = pytest.mark.slow

SIZE, COUNT, BATCH = (128, 128), 64, 16


def test_preparing_costs_little_more_than_decoding_and_resizing(encode_picture, pet_classes):
    drawn = [draw_pet(seed)[:2] for seed in range(COUNT)]
    images = tf.constant([encode_picture(np.asarray(picture), "JPEG") for picture, _ in drawn])
    masks = tf.constant([encode_picture(np.asarray(mask)) for _, mask in drawn])

    @tf.function
    def prepare(images, masks):
        return prepare_images(images, SIZE), prepare_masks(masks, SIZE, pet_classes)

    def ours():
        for start in range(0, COUNT, BATCH):
            prepare(images[start : start + BATCH], masks[start : start + BATCH])

    def decode(image, mask):
        image = tf.image.resize(pictures.decode_image(image), SIZE) / 255
        return image, tf.image.resize(pictures.decode_mask(mask)[..., None], SIZE, "nearest")

    loop = tf.data.Dataset.from_tensor_slices((images, masks)).map(decode).batch(BATCH)

    def reference():
        for _ in loop:
            pass

    assert cpu_time.median_ratio(ours, reference) < 1.8  # about 1.2
