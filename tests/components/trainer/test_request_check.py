"""Pictures that can't be decoded, or are too large, are named by their position in the batch."""

import io
import re
import struct
import types
import zlib

import numpy as np
import pytest
import tensorflow as tf

from components.common import schema
from components.common.bands import BandsConfig, to_npy
from components.common.errors import UserError
from components.common.picture_fit import PictureFit
from components.trainer.config import TrainerConfig
from components.trainer.request_check import check_bands, check_request
from components.trainer.training_data import training_data

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (40, 60, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def good(encode_picture):
    grey, alpha = NOISE[..., 0], np.dstack([NOISE, NOISE[..., 0]])
    return {
        "jpeg": encode_picture(NOISE, "JPEG"),
        "grey jpeg": encode_picture(grey, "JPEG"),
        "png": encode_picture(NOISE),
        "rgba": encode_picture(alpha),
        "palette": encode_picture(NOISE, mode="P"),
        "gif": encode_picture(NOISE, "GIF"),
        "jpeg and more": encode_picture(NOISE, "JPEG") + b"a phone's own data",
    }


@pytest.fixture(scope="module")
def bad(good, encode_picture):
    return {
        "text": b"no picture at all",
        "empty": b"",
        "one byte": b"\xff",
        "truncated jpeg": good["jpeg"][: len(good["jpeg"]) // 2],
        "truncated png": good["png"][:-30],
        "jpeg header and rubbish": b"\xff\xd8\xff" + b"rubbish" * 9,
        "palette bmp": encode_picture(NOISE, "BMP", "P"),
        "tiff": encode_picture(NOISE, "TIFF"),
    }


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def check(encoded):
    return check_request(encoded, "image_bytes", max_megabytes=2, max_megapixels=1)


def test_good_pictures_pass_unchanged(good):
    batch = list(good.values())
    assert check(tf.constant(batch)).numpy().tolist() == batch
    for one in batch:
        assert check(tf.constant([one])).numpy().tolist() == [one]
    assert check(tf.zeros([0], tf.string)).shape == [0]


def test_each_bad_one_is_named(good, bad):
    for name, content in bad.items():
        batch = [good["jpeg"], good["gif"], content, good["png"]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="image_bytes: .* position 2 of"):
            check(tf.constant(batch))
            pytest.fail(f"{name} passed")


def test_all_bad_ones_are_named(good, bad):
    batch = [good["png"], *bad.values(), good["rgba"]]
    positions = ", ".join(str(index + 1) for index in range(len(bad)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"position {positions} of the batch"):
        check(tf.constant(batch))


def png_that_says(width, height):
    """A small PNG whose header promises more than is there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def jpeg_that_says(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0") + 5  # in the frame's header: height, width
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


@pytest.mark.parametrize("beside", ["jpeg", "gif"])  # with a GIF, each is tried by itself
def test_a_picture_that_is_too_large_is_named_and_not_decoded(good, beside):
    for huge in (
        png_that_says(30_000, 30_000),
        png_that_says(2**31 - 1, 2**31 - 1),
        jpeg_that_says(good["jpeg"], 65_000, 65_000),
        good["gif"][:6] + struct.pack("<HH", 65_000, 65_000) + good["gif"][10:],
    ):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="more than 1 megapixels at position 1 of"
        ):
            check(tf.constant([good[beside], huge, good["png"]]))


def test_a_picture_at_the_limit_passes(encode_picture):
    at_limit = encode_picture(np.zeros((1000, 1000, 3), np.uint8))
    above = encode_picture(np.zeros((1000, 1001, 3), np.uint8))
    check(tf.constant([at_limit]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="position 0"):
        check(tf.constant([above]))


def test_a_batch_that_is_too_large_is_refused(good):
    padded = [good["jpeg"][:-2] + bytes(600_000) + b"\xff\xd9"] * 3
    check(tf.constant(padded))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the batch has more than 2 MB"):
        check(tf.constant([*padded, padded[0]]))


def check_of_bands(bands):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def check_batch(encoded):
        return check_bands(encoded, "image_bytes", bands, max_megabytes=1, max_megapixels=1)

    return check_batch


def test_arrays_of_the_bands_pass_and_others_are_named(good):
    check_batch = check_of_bands(BandsConfig(count=4, depth="uint16"))
    deep = RNG.integers(0, 65535, (40, 60, 4)).astype(np.uint16)
    array, png = to_npy(deep), tf.io.encode_png(deep).numpy()
    assert check_batch(tf.constant([array, png])).numpy().tolist() == [array, png]
    for other in (to_npy(deep[..., :3]), good["rgba"], good["jpeg"], array[:-2], b""):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match="image_bytes: no .npy or PNG of 4 bands of uint16 at position 1 of the batch",
        ):
            check_batch(tf.constant([array, other, png]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 1 MB"):
        check_batch(tf.constant([to_npy(np.zeros((400, 400, 4), np.uint16))]))
    eight = check_of_bands(BandsConfig(count=1, depth="uint8"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 1 MB"):
        eight(tf.constant([to_npy(np.zeros((1001, 1000, 1), np.uint8))]))


def test_what_was_sent_in_another_form_is_told_and_what_is_taken():
    """Arrays that numpy.save writes, and that are not taken."""
    check_batch = check_of_bands(BandsConfig(count=4, depth="uint16"))
    deep = RNG.integers(0, 65535, (40, 60, 4)).astype(np.uint16)
    fine = to_npy(deep)
    second = io.BytesIO()
    np.lib.format.write_array(second, deep, version=(2, 0))
    planar = io.BytesIO()
    np.save(planar, np.moveaxis(deep, -1, 0).copy())
    columns = io.BytesIO()
    np.save(columns, np.asfortranarray(deep))
    big = io.BytesIO()
    np.save(big, deep.astype(">u2"))
    forms = {
        "{descr: <u2, fortran_order: False, shape: (40, 60, 4)": second.getvalue(),
        "{descr: <u2, fortran_order: False, shape: (4, 40, 60)": planar.getvalue(),
        "{descr: <u2, fortran_order: True, shape: (40, 60, 4)": columns.getvalue(),
        "{descr: >u2, fortran_order: False, shape: (40, 60, 4)": big.getvalue(),
        "{descr: <f4, fortran_order: False, shape: (40, 60, 4)": to_npy(deep.astype(np.float32)),
        "{descr: <u2, fortran_order: False, shape: (40, 60, 3)": to_npy(deep[..., :3]),
        "no header of an .npy": b"{no picture}",
        "(40, 60, 4), }, 19327 bytes in all": fine[:-1],  # of 128 + 40 * 60 * 4 * 2
    }
    for told, other in forms.items():
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            check_batch(tf.constant([fine, other, b""]))
        assert "at position 1, 2 of the batch; the first has " in error.value.message
        assert told in error.value.message
        assert (
            "an .npy must have [height, width, 4] of <u2, in C order, format 1.0, with all of "
            "its values" in error.value.message
        )


def test_floats_that_are_no_number_are_named():
    check_batch = check_of_bands(BandsConfig(count=2, depth="float32"))
    fine = np.ones((3, 4, 2), np.float32)
    bad = fine.copy()
    bad[2, 3, 1] = np.nan
    assert len(check_batch(tf.constant([to_npy(fine)] * 3))) == 3
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="pixels that are no number at position 1 of"
    ):
        check_batch(tf.constant([to_npy(fine), to_npy(bad)]))


def write_split(folder, **sizes):
    """Examples of blank pictures of four bands of 16 bits; returns their files' pattern."""
    with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
        for name, (height, width) in sizes.items():
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in {
                    schema.IMAGE: to_npy(np.zeros((height, width, 4), np.uint16)),
                    schema.EXAMPLE_ID: name.encode(),
                }.items()
            }
            for key, value in {schema.HEIGHT: height, schema.WIDTH: width}.items():
                feature[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return [str(folder / "*.gz")]


@pytest.mark.parametrize(
    ("serving", "told"),
    [
        (
            {"max_megabytes": 1},
            "b (400x400): 1.3 MB, trainer.serving.max_megabytes is 1: 2 would do",
        ),
        (
            {"max_megabytes": 10, "max_megapixels": 1},
            "c (2x600000): 1.2 megapixels, trainer.serving.max_megapixels is 1: 2 would do",
        ),
    ],
)
def test_a_training_whose_pictures_could_not_be_served_is_refused_at_once(tmp_path, serving, told):
    sizes = {"a": (300, 400), "b": (400, 400)} if "b (" in told else {"c": (600_000, 2)}
    files = write_split(tmp_path, **sizes)
    settings = {"transform": PictureFit(fit="tiles").model_dump_json()}
    arguments = types.SimpleNamespace(
        transform_graph_path="", custom_config=settings, train_files=files, eval_files=files
    )
    config = TrainerConfig.model_validate({"serving": serving})
    wanted = f"1 of the {len(sizes)} pictures of split train could not be sent .*{re.escape(told)}$"
    with (
        pytest.raises(UserError, match=re.compile(wanted, re.DOTALL)),
        training_data(arguments, config),
    ):
        pass
