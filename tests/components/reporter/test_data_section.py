"""What the report says of the data."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from example_generation import generate
from ml_metadata.proto import metadata_store_pb2 as mlmd
from PIL import Image

from components.common import schema
from components.data_validation import statistics
from components.example_gen.config import DatasetConfig, FeaturesConfig, LeaksConfig, SplitsConfig
from components.reporter import data_section, templates

CLASSES = schema.ClassTable(values={"field": 0, "road": 1, "pond": 2}, ignore_values=(255,))
SIZES = ((10, 10), (40, 60), (1, 90), (30, 20), (12, 16), (64, 8))


def pairs(encode_picture):
    """Of many sizes; of the large ones half is ignored, one is ignored altogether."""
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        mask = rng.choice([0, 1, 2], (height, width), p=[0.8, 0.15, 0.05]).astype(np.uint8)
        if height == 40:
            mask[:, :30] = 255
        if height == 12:
            mask[:] = 255
        image = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
        yield encode_picture(image), encode_picture(mask)


@pytest.fixture(scope="module")
def artifacts(make_dataset, encode_picture, tmp_path_factory):
    """Examples, statistics, and the DriftValidator's where there was no baseline."""
    folder = tmp_path_factory.mktemp("artifacts")
    config = DatasetConfig(
        name="sizes",
        data_dir=make_dataset("sizes", list(pairs(encode_picture))),
        splits=SplitsConfig(train="train", validation="test[:50%]", test="test[50%:]"),
        features=FeaturesConfig(example_id="file_name"),
        leaks=LeaksConfig(max_fraction=None),
    )
    made = generate(config, CLASSES, folder / "examples")
    for split in schema.SPLITS:
        (folder / "statistics" / f"Split-{split}").mkdir(parents=True)
        found = tfdv.generate_statistics_from_tfrecord(
            f"{made.uri}/Split-{split}/*", stats_options=statistics.statistics_options()
        )
        path = folder / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        path.write_bytes(found.SerializeToString())
    (folder / "drift").mkdir()
    return {
        "examples": made.mlmd_artifact,
        "statistics": mlmd.Artifact(uri=str(folder / "statistics")),
        "drift": mlmd.Artifact(uri=str(folder / "drift")),
    }


def page_of(section):
    """The report with nothing but its data."""
    graph = SimpleNamespace(width=1, height=1, boxes=[], arrows=[], runs=[])
    verdict = SimpleNamespace(good=True, headline="", scores=[], version="", lines=[], steps=[])
    return templates.render(
        "report.html",
        run=SimpleNamespace(pipeline="p", run_id="r"),
        date="",
        class_colors=dict.fromkeys(CLASSES.names, "#000000"),
        verdict=verdict,
        data=section,
        training=None,
        evaluation=None,
        exports=None,
        lineage=graph,
    )


def test_class_shares_are_of_the_pixels_that_count(artifacts):
    """Not of the pictures, of which one may be a thousand times as large as another."""
    section = data_section.make(artifacts, CLASSES, 2)
    page = page_of(section)
    for split in schema.SPLITS:
        folder = f"{artifacts['examples'].uri}/Split-{split}"
        values = np.concatenate([mask.ravel() for mask in masks_of(folder)])
        counted = values[values != 255]
        expected = {name: np.mean(counted == value) for name, value in CLASSES.values.items()}
        assert section.shares[split] == pytest.approx(expected, abs=1e-12)
        row = "".join(f'<td class="number">{share:.1%}</td>' for share in expected.values())
        assert f"<td>{split}</td>{row}" in page


def masks_of(folder):
    files = tf.io.gfile.glob(f"{folder}/*")
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        yield np.asarray(Image.open(io.BytesIO(features[schema.MASK].bytes_list.value[0])))


def test_the_first_run_has_nothing_to_compare_with(artifacts):
    page = page_of(data_section.make(artifacts, CLASSES, 2))
    assert "No drift" not in page and "no earlier blessed model" in page
