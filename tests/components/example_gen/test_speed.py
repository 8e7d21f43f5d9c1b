"""Guards against an ExampleGen that has become much slower.

The goal itself is in docs/benchmarks.md; this fails only where something is twice off.
"""

import cpu_time
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from components.common import pictures
from components.datasets.synthetic_pets import draw_pet
from components.example_gen.config import DatasetConfig
from components.example_gen.encoding import ExampleEncoder

pytestmark = pytest.mark.slow

BATCH, BATCHES = 32, 6


@pytest.fixture(scope="module")
def elements(encode_picture):
    drawn = []
    for seed in range(BATCH):
        picture, mask, *_ = draw_pet(seed)
        small = Image.fromarray(picture).resize((128, 128))
        mask = Image.fromarray(mask).resize((128, 128), Image.Resampling.NEAREST)
        drawn.append(
            {
                "image": encode_picture(np.asarray(small), "JPEG"),
                "segmentation_mask": encode_picture(np.asarray(mask)),
                "tfds_id": f"{seed}".encode(),
            }
        )
    return drawn


def test_an_example_costs_little_more_than_decoding_it(elements, pet_classes):
    """In CPU time, by turns. One picture at a time through Python it was 6 times that."""
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(), "segmentation_mask": tfds.features.Image()}
    )
    encoder = ExampleEncoder(features, DatasetConfig(name="drawn"), pet_classes)
    parts = [[one[name] for one in elements] for name in ("image", "segmentation_mask")]
    decoded = (
        tf.data.Dataset.from_tensor_slices(tuple(parts))
        .repeat(BATCHES)
        .map(lambda image, mask: (pictures.decode_image(image), pictures.decode_mask(mask)))
    )

    def decode() -> None:
        for _ in decoded.batch(BATCH):
            pass

    def encode() -> None:
        for _ in range(BATCHES):
            assert all(one.record for one in encoder.encode(elements))

    assert cpu_time.median_ratio(encode, decode) < 2.6  # about 1.6
