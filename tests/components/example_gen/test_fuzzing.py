"""Damaged pictures and masks through ExampleGen: none is lost, none breaks it."""

import glob
import io
import json
from pathlib import Path

import mutations
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.common import pictures, schema
from components.example_gen import dataset, executor, quarantine
from components.example_gen.config import (
    BadExamplesConfig,
    DatasetConfig,
    FeaturesConfig,
    LeaksConfig,
    SplitsConfig,
)

pytestmark = pytest.mark.slow

PICTURES, MASKS = 900, 500
CORPUS = Path(__file__).with_name("corpus")  # what was once found
SIZE = (24, 32)


@pytest.fixture(scope="module")
def seeds(encode_picture):
    """Valid pictures and masks of all kinds that are taken."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8)).resize((32, 24)))
    mask = rng.integers(1, 4, SIZE).astype(np.uint8)
    images = [
        encode_picture(smooth, "JPEG"),
        encode_picture(smooth[..., 0], "JPEG"),
        _progressive(smooth),
        encode_picture(smooth),
        encode_picture(smooth, mode="P"),
        encode_picture(np.dstack([smooth, smooth[..., 0]])),
        encode_picture(smooth, "GIF"),
    ]
    masks = [
        encode_picture(mask),
        encode_picture(mask.astype(np.uint16)),
        encode_picture(mask, "GIF"),
    ]
    return images, masks


def _progressive(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pairs(seeds):
    images, masks = seeds
    found = []
    for number in range(PICTURES):
        image, other = images[number % len(images)], images[(number // 7) % len(images)]
        found.append((mutations.mutate(image, other, number), masks[0]))
    for number in range(MASKS):
        mask, other = masks[number % len(masks)], masks[(number // 3) % len(masks)]
        found.append((images[0], mutations.mutate(mask, other, 10_000 + number)))
    for path in sorted(CORPUS.glob("*")):
        kind = path.name.split("-")[0]
        content = path.read_bytes()
        found.append((content, masks[0]) if kind == "picture" else (images[0], content))
    return found


def test_nothing_is_lost_and_what_is_kept_is_sound(make_dataset, pairs, pet_classes, tmp_path):
    config = DatasetConfig(
        name="damaged",
        data_dir=make_dataset("damaged", pairs),
        splits=SplitsConfig(train="train", validation="test[:40]", test="test[:40]"),
        features=FeaturesConfig(example_id="file_name"),
        bad_examples=BadExamplesConfig(max_fraction=1.0),
        leaks=LeaksConfig(distance=0, max_fraction=None),
    )
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
        tmp_dir=str(tmp_path),
        unique_id="1",
    )
    builder = dataset.open_dataset(config)
    identity = dataset.identify(builder, config).to_json()
    executor.Executor(context).Do(
        {},
        {"examples": [artifact]},
        {
            "dataset": config.model_dump_json(),
            "classes": pet_classes.model_dump_json(),
            "identity": identity,
        },
    )
    aside = {one.example_id: one.reason for one in quarantine.read_report(str(tmp_path))["train"]}
    kept = {}
    for path in sorted(glob.glob(f"{tmp_path}/Split-train/*.gz")):
        for record in tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            example_id = feature[schema.EXAMPLE_ID].bytes_list.value[0].decode()
            assert example_id not in kept
            kept[example_id] = feature
    names = {f"picture_{index}" for index in range(len(pairs))}
    assert kept.keys() | aside.keys() == names and not kept.keys() & aside.keys()
    assert artifact.get_int_custom_property("train_examples") == len(kept)
    assert artifact.get_int_custom_property("train_set_aside") == len(aside)
    # Both kinds occur, or nothing was tested.
    assert len(kept) > 100 and len(aside) > 300
    assert all(reason.strip() and "\n" not in reason for reason in aside.values())
    for feature in kept.values():
        image, mask = (feature[key].bytes_list.value[0] for key in (schema.IMAGE, schema.MASK))
        height, width = (feature[key].int64_list.value[0] for key in (schema.HEIGHT, schema.WIDTH))
        assert pictures.decode_image(tf.constant(image)).shape == (height, width, 3)
        values = np.unique(pictures.decode_mask(tf.constant(mask)))
        assert set(values.tolist()) <= {1, 2, 3}
    json.dumps(aside)  # ids and reasons are text
