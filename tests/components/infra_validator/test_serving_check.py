"""What is asked, and which answers are faults. The answers here are made up."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.common.bands import BandsConfig, from_npy, to_npy
from components.common.model_card import RequestLimits
from components.infra_validator import serving_check
from components.infra_validator.clean_process import Answer
from components.trainer.request_check import check_bands, check_request

CLASSES = 3
SIZES = [(20, 30), (24, 24), (61, 40)]
H, W = 4, 4
LIMITS = RequestLimits(64, 100)


@pytest.fixture(scope="module")
def samples(tmp_path_factory, encode_picture):
    """Three JPEG examples in two files; the last is the largest."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("examples")
    for index, size in enumerate(SIZES):
        image = encode_picture(rng.integers(0, 255, (*size, 3)).astype(np.uint8), "JPEG")
        write_example(folder / f"{index}.gz", image, size)
    return serving_check.choose_samples([str(file) for file in folder.iterdir()])


def write_example(path, image, size):
    feature = {
        schema.IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        schema.HEIGHT: tf.train.Feature(int64_list=tf.train.Int64List(value=[size[0]])),
        schema.WIDTH: tf.train.Feature(int64_list=tf.train.Int64List(value=[size[1]])),
    }
    record = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(record)


@pytest.fixture(scope="module")
def requests(samples):
    return serving_check.make_requests(samples, LIMITS)


def test_the_requests_are_of_every_kind(requests):
    by_name = {request.call.name: request for request in requests}
    modes = {
        name: [(image.format, image.mode) for image in map(open_picture, request.call.batch)]
        for name, request in by_name.items()
        if request.bad_position is None
    }
    assert modes["JPEG, batch of 1"] == [("JPEG", "RGB")]
    assert modes["PNG, batch of 1"] == [("PNG", "RGB")]
    assert modes["RGBA PNG, batch of 1"] == [("PNG", "RGBA")]
    assert modes["grey PNG, batch of 1"] == [("PNG", "L")]
    assert len(modes["batch of 8"]) == 8
    assert by_name["the largest picture (40x61)"].sizes == ((61, 40),)
    for request in by_name.values():
        assert request.call.signature == schema.SERVING_SIGNATURE
        for size, content in zip(request.sizes, request.call.batch, strict=False):
            assert open_picture(content).size == size[::-1]


def open_picture(content):
    return Image.open(io.BytesIO(content))


def test_no_examples_at_all(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "empty.gz"), "GZIP"):
        pass
    with pytest.raises(ValueError, match="no examples in .*empty.gz"):
        serving_check.choose_samples([str(tmp_path / "empty.gz")])


def good_answers(requests):
    """What a sound model would say: every answer has the same mask."""
    mask = np.arange(H * W).reshape(H, W) % CLASSES
    truth = np.roll(mask, 1)
    truth[0, 0] = schema.IGNORE_INDEX
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    for t, p in zip(truth.ravel(), mask.ravel(), strict=True):
        if t < CLASSES:
            matrix[t, p] += 1
    answers = []
    for request in requests:
        if request.bad_position is not None:
            answers.append(Answer(error="InvalidArgumentError: … at position 1 of the batch"))
            continue
        count = len(request.sizes)
        pngs = np.empty(count, object)
        for index, size in enumerate(request.sizes):
            buffer = io.BytesIO()
            Image.fromarray(np.zeros(size, np.uint8)).save(buffer, "PNG")
            pngs[index] = buffer.getvalue()
        answers.append(
            Answer(
                {
                    schema.MASK: np.repeat(mask[None].astype(np.uint8), count, 0),
                    schema.MASK_PNG_BYTES: pngs,
                    schema.CONFIDENCE: np.full(count, 0.7, np.float32),
                }
            )
        )
    for request in requests:
        if request.examples:
            count = len(request.examples)
            answers.append(Answer({schema.CONFUSION_MATRIX: np.repeat(matrix[None], count, 0)}))
            prepared = {
                schema.MASK: np.repeat(truth[None], count, 0),
                schema.CONTENT_BOX: np.repeat([[0, 0, H, W]], count, 0),
            }
            answers.append(Answer(prepared))
    return answers


def test_a_sound_model_has_no_faults(requests):
    answers = good_answers(requests)
    assert len(answers) == len(serving_check.make_calls(requests))
    assert serving_check.find_faults(requests, answers, CLASSES) == []


def change(key, function):
    def apply(outputs):
        outputs[key] = function(outputs[key].copy())

    return apply


def out_of_range(mask):
    mask[..., 0, 0] = CLASSES
    return mask


def padding_within(mask):
    mask[..., 1, 2] = schema.IGNORE_INDEX
    return mask


def shifted(mask):
    return (mask + 1) % CLASSES


def bigger(pngs):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((70, 70), np.uint8)).save(buffer, "PNG")
    pngs[0] = buffer.getvalue()
    return pngs


OWN, PNG, MANY = "an example's own bytes, batch of 1", "PNG, batch of 1", "batch of 8"


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (PNG, lambda outputs: outputs.pop("confidence"), "there is no output 'confidence'"),
        (PNG, change("mask", lambda mask: mask.astype(np.int64)), "mask is int64 .*not uint8"),
        (MANY, change("mask", lambda mask: mask[:1]), r"not uint8 \[8, height, width\]"),
        (PNG, change("mask", out_of_range), "mask has the value 3, the classes are 0 to 2"),
        (OWN, change("mask", padding_within), "mask has 255, which is padding's, within"),
        (PNG, change("mask", shifted), "100.0% of the mask differ"),
        (MANY, change("mask", shifted), "served otherwise than they were evaluated"),
        (OWN, change("confidence", lambda c: c * 2), "is not between 1/3 and 1"),
        (OWN, change("confidence", lambda c: c * np.nan), "is not between 1/3 and 1"),
        (OWN, change("confidence", lambda c: c[:, None]), "confidence is float32"),
        (MANY, change("mask_png_bytes", bigger), "mask_png_bytes is 70x70 for a picture of 30x20"),
    ],
)
def test_a_fault_is_found_and_described(requests, name, spoil, message):
    answers = good_answers(requests)
    index = [request.call.name for request in requests].index(name)
    spoil(answers[index].outputs)
    faults = dict(serving_check.find_faults(requests, answers, CLASSES))
    assert name in faults
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(faults[name])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer({"mask": np.zeros(1)}), "bytes that are no picture got a mask"),
        (Answer(error="InvalidArgumentError: Unknown image"), "must .* names position 1"),
        (Answer(error="InternalError: position 1 of the batch"), "must be an InvalidArgumentError"),
    ],
)
def test_bytes_that_are_no_picture_must_be_refused(requests, answer, message):
    answers = good_answers(requests)
    index = next(i for i, request in enumerate(requests) if request.bad_position is not None)
    answers[index] = answer
    ((_, fault),) = serving_check.find_faults(requests, answers, CLASSES)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(fault)


def test_pictures_of_other_bands_are_asked_for_in_their_forms(tmp_path):
    """As an array, as a PNG where there is such a one, and with a band too many."""
    rng = np.random.default_rng(0)
    for depth, kinds in (("uint16", 6), ("float32", 5)):
        pixels = rng.integers(0, 255, (20, 30, 4)).astype(depth)
        write_example(tmp_path / depth, to_npy(pixels), (20, 30))
        samples = serving_check.choose_samples([str(tmp_path / depth)])
        bands = BandsConfig(count=4, depth=depth)
        by_name = {
            one.call.name: one for one in serving_check.make_requests(samples, LIMITS, bands)
        }
        assert len(by_name) == kinds
        (good, more) = by_name["5 bands at position 1"].call.batch
        assert by_name["5 bands at position 1"].bad_position == 1
        np.testing.assert_array_equal(from_npy(more)[..., :4], from_npy(good))
        assert by_name["the largest picture (30x20)"].sizes == ((20, 30),)
        if depth == "uint16":
            (png,) = by_name["PNG, batch of 1"].call.batch
            np.testing.assert_array_equal(tf.io.decode_png(png, 4, tf.uint16), pixels)


BANDS = BandsConfig(count=4, depth="uint16")


@pytest.mark.parametrize(
    ("size", "bands", "batch"),
    [
        ((340, 360), BANDS, 2),  # 0.98 MB each: no two fit
        ((200, 300), BANDS, 2),  # 0.48 MB: two do
        ((100, 200), BANDS, 6),  # 0.16 MB
        ((550, 590), None, 2),  # noise: PNGs of 0.97 MB, with alpha 1.3 MB
        ((200, 300), None, 5),
    ],
)
def test_no_request_exceeds_the_models_limits(tmp_path, encode_picture, size, bands, batch):
    """Held against the graph that a model has: all pass it but those that must not."""
    rng = np.random.default_rng(0)
    shape, depth = ((*size, 4), np.uint16) if bands else ((*size, 3), np.uint8)
    image = (to_npy if bands else encode_picture)(rng.integers(0, 255, shape).astype(depth))
    assert len(image) <= 1e6
    write_example(tmp_path / "0.gz", image, size)
    samples = serving_check.choose_samples([str(tmp_path / "0.gz")])
    limits = RequestLimits(1, 1)
    assert not serving_check.find_excess(samples, limits)
    requests = serving_check.make_requests(samples, limits, bands)
    assert f"batch of {batch}" in [request.call.name for request in requests]
    for request in requests:
        encoded = tf.constant(list(request.call.batch))
        more = () if bands is None else (bands,)
        check = check_bands if bands else check_request
        if request.bad_position is None:
            check(encoded, "image_bytes", *more, *limits)
            sizes = [serving_check._size_of(one) for one in request.call.batch]
            assert sizes == list(request.sizes)
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match="at position 1 of the batch"):
                check(encoded, "image_bytes", *more, *limits)


def test_a_picture_that_no_request_may_have_is_told_with_the_setting(tmp_path, encode_picture):
    """The one of the most pixels, and the one of the most bytes, wherever in the split."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (600, 610, 3)).astype(np.uint8)
    plain = np.zeros((1100, 1000, 3), np.uint8)
    for name, pixels in enumerate((noise[:9, :9], noise, plain, noise[:9])):
        write_example(tmp_path / f"{name}.gz", encode_picture(pixels), pixels.shape[:2])
    samples = serving_check.choose_samples([str(file) for file in tmp_path.iterdir()])
    found = [serving_check.find_excess(samples, RequestLimits(*one)) for one in ((1, 2), (2, 1))]
    assert found == [
        "a picture of 610x600 can't be sent even alone: 1.1 MB, "
        "trainer.serving.max_megabytes is 1: 2 would do",
        "a picture of 1000x1100 can't be sent even alone: 1.1 megapixels, "
        "trainer.serving.max_megapixels is 1: 2 would do",
    ]
