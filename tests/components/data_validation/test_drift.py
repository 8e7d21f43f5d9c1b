"""New data against that of an earlier model, through TFX's validator."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils

from components.common import schema
from components.common.errors import UserError
from components.data_validation import drift, statistics

pytestmark = pytest.mark.slow

CLASSES = schema.ClassTable(values={"leaf": 1, "soil": 0})


def records(count, leaf, brightness, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        share = float(np.clip(rng.normal(leaf, 0.05), 0, 1))
        numbers = {
            "share_leaf": share,
            "share_soil": 1 - share,
            schema.BRIGHTNESS: float(rng.normal(brightness, 0.05)),
        }
        feature = {
            name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            for name, value in numbers.items()
        }
        for name in (schema.HEIGHT, schema.WIDTH):
            side = int(rng.integers(200, 300))
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[side]))
        yield tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def statistics_of(folder, leaf=0.3, brightness=0.5, seed=0):
    """ExampleStatistics of three splits."""
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(schema.SPLITS))
    for index, split in enumerate(schema.SPLITS):
        examples = folder / f"{split}.tfrecord"
        folder.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(examples)) as writer:
            for record in records(400, leaf, brightness, 10 * seed + index):
                writer.write(record)
        found = tfdv.generate_statistics_from_tfrecord(
            str(examples), stats_options=statistics.statistics_options()
        )
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir()
        path.write_bytes(found.SerializeToString())
        assert stats_artifact_utils.load_statistics(artifact, split)
    return artifact


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return statistics_of(tmp_path_factory.mktemp("before") / "statistics")


def compare(folder, now, before, action="warn", max_divergence=0.2):
    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri = str(folder / "anomalies")
    inputs = {"statistics": [now], "baseline_statistics": [before] if before else []}
    drift.Executor().Do(
        inputs,
        {"anomalies": [anomalies]},
        {
            "distribution_validator_config": drift.comparators(CLASSES, max_divergence),
            "include_split_pairs": json_utils.dumps([(name, name) for name in schema.SPLITS]),
            "action": action,
        },
    )
    return drift.read_drift(anomalies.uri), anomalies


def test_data_of_the_same_kind_has_not_drifted(before, tmp_path):
    now = statistics_of(tmp_path / "now", seed=1)
    lines, anomalies = compare(tmp_path, now, before, "stop")
    assert lines == [] and anomalies.get_int_custom_property("drifted") == 0
    assert drift.has_baseline(anomalies.uri)


def test_what_is_far_away_is_named(before, tmp_path, caplog):
    now = statistics_of(tmp_path / "now", brightness=0.6, seed=1)
    lines, anomalies = compare(tmp_path, now, before)
    assert [line.split(": ")[:2] for line in lines] == [
        [split, "brightness"] for split in sorted(schema.SPLITS)
    ]
    assert anomalies.get_int_custom_property("drifted") == 3
    assert "drift from the data of the latest blessed model: test: brightness: " in caplog.text
    # Within a distance that is large enough, it is not.
    assert compare(tmp_path, now, before, "stop", max_divergence=0.9)[0] == []
    other = statistics_of(tmp_path / "other", leaf=0.7, seed=2)
    lines, anomalies = compare(tmp_path, other, before)
    assert {line.split(": ")[1] for line in lines} == {"share_leaf", "share_soil"}
    assert drift.read_drift(f"file://{anomalies.uri}") == lines  # read as a bucket is
    assert drift.has_baseline(f"file://{anomalies.uri}")


def test_it_stops_the_run_where_the_config_says_so(before, tmp_path):
    now = statistics_of(tmp_path / "now", brightness=0.8, seed=1)
    with pytest.raises(UserError) as error:
        compare(tmp_path, now, before, "stop")
    assert "  test: brightness: " in str(error.value)
    assert "raise data_validation.drift.max_divergence" in str(error.value)


def test_the_first_data_has_nothing_to_drift_from(before, tmp_path):
    lines, anomalies = compare(tmp_path, before, None, "stop")
    assert lines == [] and not drift.has_baseline(anomalies.uri)
