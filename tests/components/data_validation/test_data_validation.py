"""Statistics, schema and anomalies through TFDV itself."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from lossy_engine import losing
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.common import schema
from components.common.errors import UserError
from components.data_validation import statistics, validator
from pipeline.config.beam import BeamStepConfig


def records(count, species=("cat", "dog"), **missing):
    rng = np.random.default_rng(0)
    for index in range(count):
        feature = {
            schema.IMAGE: rng.bytes(50),
            schema.MASK: rng.bytes(20),
            schema.EXAMPLE_ID: f"id {index}".encode(),
            "species": species[index % len(species)].encode(),
        }
        yield tf.train.Example(
            features=tf.train.Features(
                feature={
                    name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for name, value in feature.items()
                    if name not in missing
                }
            )
        ).SerializeToString()


def stats_of(path, examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(example)
    return tfdv.generate_statistics_from_tfrecord(
        str(path), stats_options=statistics.statistics_options()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stats")


@pytest.fixture(scope="module")
def train(folder):
    return stats_of(folder / "train", records(40))


def test_options_survive_the_way_into_the_component():
    options = statistics.statistics_options()
    assert tfdv.StatsOptions.from_json(options.to_json()).schema == options.schema


def test_pictures_and_ids_are_no_vocabulary(train):
    inferred = tfdv.infer_schema(train)
    domains = {feature.name: feature.WhichOneof("domain_info") for feature in inferred.feature}
    assert domains["species"] is not None
    assert not any(name for name in schema.ENCODED_FEATURES if domains[name] == "domain")
    assert [domain.name for domain in inferred.string_domain] == ["species"]


def run_validator(tmp_path, reference, **splits):
    inputs, outputs = standard_artifacts.ExampleStatistics(), standard_artifacts.ExampleAnomalies()
    inputs.uri, outputs.uri = str(tmp_path / "statistics"), str(tmp_path / "anomalies")
    inputs.split_names = str(list(splits)).replace("'", '"')
    for split, stats in splits.items():
        path = tmp_path / "statistics" / f"Split-{split}"
        path.mkdir(parents=True)
        (path / "FeatureStats.pb").write_bytes(stats.SerializeToString())
    schema_artifact = standard_artifacts.Schema()
    schema_artifact.uri = str(tmp_path / "schema")
    (tmp_path / "schema").mkdir()
    tfdv.write_schema_text(tfdv.infer_schema(reference), str(tmp_path / "schema" / "schema.pbtxt"))
    validator.Executor().Do(
        {"statistics": [inputs], "schema": [schema_artifact]}, {"anomalies": [outputs]}, {}
    )


def test_splits_that_fit_pass(tmp_path, folder, train):
    test = stats_of(folder / "same", records(12))
    run_validator(tmp_path, train, train=train, test=test)
    found = validator.read_anomalies(str(tmp_path / "anomalies" / "Split-test"))
    assert validator.read_anomalies(f"file://{tmp_path}/anomalies/Split-test") == found  # a bucket


def test_anomalies_stop_the_run_with_a_list(tmp_path, folder, train):
    other = stats_of(folder / "other", records(12, species=("cat", "horse")))
    lacking = stats_of(folder / "lacking", records(12, **{schema.MASK: True}))
    with pytest.raises(UserError) as error:
        run_validator(tmp_path, train, train=train, validation=other, test=lacking)
    text = str(error.value)
    assert "validation: species:" in text and "horse" in text
    assert "test: mask:" in text
    assert "data_validation.schema_path" in text
    assert "train:" not in text


@pytest.mark.slow
def test_all_examples_are_in_the_statistics_or_the_step_fails(tmp_path):
    """Whichever of the first pieces an engine loses."""
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = '["train"]'
    (tmp_path / "examples" / "Split-train").mkdir(parents=True)
    path = tmp_path / "examples" / "Split-train" / "data.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for example in records(40):
            writer.write(example)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamStepConfig(args=("--direct_num_workers=1",)).pipeline_args(),
        tmp_dir=str(tmp_path),
        unique_id="1",
    )
    options = {"stats_options_json": statistics.statistics_options().to_json()}
    told = []
    for lost in (None, 0, 1, 2):
        found = standard_artifacts.ExampleStatistics()
        found.uri = str(tmp_path / f"statistics-{lost}")
        outputs = {"statistics": [found]}
        with losing(lost):
            try:
                statistics.Executor(context).Do({"examples": [examples]}, outputs, options)
            except UserError as error:
                assert "of split train are in the statistics, there are 40" in str(error)
                told.append(lost)
                continue
        path = f"{found.uri}/Split-train/FeatureStats.pb"
        assert tfdv.load_stats_binary(path).datasets[0].num_examples == 40
    assert told and None not in told
