"""Damaged pictures and records through the model that a run has pushed, and its steps."""

import io

import mutations
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.common.errors import UserError
from components.common.served_model import ServedModel
from components.trainer import input_pipeline

PICTURES, EXAMPLES, FILES = 600, 200, 60
NO_ANSWER = (tf.errors.InvalidArgumentError, tf.errors.DataLossError)
# TensorFlow's message may quote the record's bytes, which need not be text.
NO_EXAMPLE = (*NO_ANSWER, UnicodeDecodeError)


@pytest.fixture(scope="module")
def model(first_run):
    return ServedModel(str(first_run.first_model))


@pytest.fixture(scope="module")
def signatures(model):
    return tf.saved_model.load(model.path).signatures


@pytest.fixture(scope="module")
def files(first_run):
    found = sorted(first_run.outputs("TfdsExampleGen/examples")[0].glob("Split-train/*"))
    return [path.read_bytes() for path in found[:4]]


@pytest.fixture(scope="module")
def records(first_run):
    found = sorted(first_run.outputs("TfdsExampleGen/examples")[0].glob("Split-test/*"))
    dataset = tf.data.TFRecordDataset([str(path) for path in found], "GZIP")
    return list(dataset.take(8).as_numpy_iterator())


def pictures_of(records):
    return [
        tf.train.Example.FromString(record).features.feature[schema.IMAGE].bytes_list.value[0]
        for record in records
    ]


def small(jpeg, kind):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).resize((48, 40)).save(buffer, kind)
    return buffer.getvalue()


def test_damaged_pictures_get_an_answer_or_a_refusal(model, records):
    jpegs = pictures_of(records)
    seeds = [small(jpeg, kind) for jpeg in jpegs[:3] for kind in ("JPEG", "PNG", "GIF")]
    expected = model.predict([jpegs[0]])[0]
    answered = 0
    for number in range(PICTURES):
        damaged = mutations.mutate(
            seeds[number % 9], seeds[(number // 9) % 9], seed=20_000 + number
        )
        # Now and then beside a sound one, which must not get the other's answer.
        batch = [damaged, jpegs[0]] if number % 4 == 0 else [damaged]
        found = model.predict_each(batch)
        assert len(found) == len(batch)
        if not isinstance(found[0], str):
            answered += 1
            assert found[0].mask.max() < 3 and 0.3 < found[0].confidence <= 1.001
        if len(batch) == 2:
            np.testing.assert_array_equal(found[1].mask, expected.mask)
    assert PICTURES * 0.1 < answered < PICTURES * 0.9
    np.testing.assert_array_equal(model.predict([jpegs[0]])[0].mask, expected.mask)


def test_damaged_examples_are_transformed_and_counted_rightly_or_refused(signatures, records):
    transform = signatures[schema.TRANSFORM_SIGNATURE]
    evaluate = signatures[schema.EVALUATE_SIGNATURE]
    answered = 0
    for number in range(EXAMPLES):
        record = mutations.mutate(
            records[number % 8], records[(number // 8) % 8], seed=40_000 + number
        )
        try:
            features = transform(examples=tf.constant([record]))
            matrix = evaluate(examples=tf.constant([record]))[schema.CONFUSION_MATRIX].numpy()
        except NO_EXAMPLE:
            continue
        answered += 1
        image, mask = features[schema.IMAGE].numpy(), features[schema.MASK].numpy()
        assert image.shape == (1, 32, 64, 3) and 0 <= image.min() <= image.max() <= 1
        # Every pixel is counted once, or ignored.
        assert set(np.unique(mask)) <= {0, 1, 2, schema.IGNORE_INDEX}
        assert matrix.sum() == (mask != schema.IGNORE_INDEX).sum()
    assert EXAMPLES * 0.02 < answered < EXAMPLES


def test_damaged_files_are_read_whole_or_refused(files, tmp_path):
    """What a disk has damaged is not taken for a smaller dataset."""
    counts = []
    for number, content in enumerate(files):
        (tmp_path / str(number)).write_bytes(content)
        dataset = input_pipeline.read_examples([str(tmp_path / str(number))])
        counts.append(input_pipeline.count_examples(dataset))
    whole = 0
    for number in range(FILES):
        at = number % len(files)
        damaged = mutations.mutate(files[at], files[(at + 1) % len(files)], seed=60_000 + number)
        path = tmp_path / f"damaged-{number}"
        path.write_bytes(damaged)
        try:
            found = input_pipeline.count_examples(input_pipeline.read_examples([str(path)]))
        except (*NO_ANSWER, UserError):
            continue
        whole += 1
        assert found == counts[at], f"seed {60_000 + number}"
    assert whole < FILES
