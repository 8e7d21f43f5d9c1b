import re
import zlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from components.common import schema
from components.common.bands import BandsConfig, from_npy, to_npy
from components.example_gen.config import BadExamplesConfig, DatasetConfig, FeaturesConfig
from components.example_gen.encoding import ExampleEncoder
from components.transform import preprocessing

FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(),
        "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        "file_name": tfds.features.Text(),
        "species": tfds.features.ClassLabel(names=["cat", "dog"]),
        "year": tfds.features.Scalar(dtype=np.int64),
    }
)


@pytest.fixture
def encoder(pet_classes):
    return encoder_of(FEATURES, pet_classes, slice_by=("species", "year"))


@pytest.fixture
def element(encode_picture):
    mask = np.array([[1, 1, 2, 2], [1, 3, 2, 2]], np.uint8)
    return {
        "image": encode_picture(np.full((2, 4, 3), 77, np.uint8), "JPEG"),
        "segmentation_mask": encode_picture(mask),
        "file_name": b"Abyssinian_1",
        "species": 1,
        "year": 2012,
    }


def encoder_of(features, classes, limits=None, slice_by=(), bands=None):
    config = DatasetConfig(
        name="drawn",
        features=FeaturesConfig(example_id="file_name", slice_by=slice_by),
        bad_examples=limits or BadExamplesConfig(),
        bands=bands,
    )
    return ExampleEncoder(features, config, classes)


def example_of(encoder, element):
    (encoded,) = encoder.encode([element])
    assert not encoded.problem
    return tf.train.Example.FromString(encoded.record)


def problem_of(encoder, element):
    (encoded,) = encoder.encode([element])
    assert not encoded.record
    return encoded.problem


def test_bytes_pass_through_and_the_rest_is_described(encoder, element):
    feature = example_of(encoder, element).features.feature
    assert feature[schema.IMAGE].bytes_list.value[0] == element["image"]
    assert feature[schema.MASK].bytes_list.value[0] == element["segmentation_mask"]
    assert feature[schema.EXAMPLE_ID].bytes_list.value[0] == b"Abyssinian_1"
    assert feature[schema.HEIGHT].int64_list.value[0] == 2
    assert feature[schema.WIDTH].int64_list.value[0] == 4
    assert feature["share_pet"].float_list.value[0] == pytest.approx(3 / 8)
    assert feature["share_border"].float_list.value[0] == pytest.approx(1 / 8)
    assert feature["species"].bytes_list.value[0] == b"dog"
    assert feature["year"].int64_list.value[0] == 2012


def test_an_unknown_mask_value_names_value_and_remedy(encoder, element, encode_picture):
    element["segmentation_mask"] = encode_picture(np.array([[1, 9], [2, 9]], np.uint8))
    element["image"] = encode_picture(np.zeros((2, 2, 3), np.uint8))
    text = problem_of(encoder, element)
    assert "value 9 (2 pixels)" in text
    assert "pet=1, background=2, border=3" in text
    assert "classes.ignore_values" in text


def test_ignored_values_pass(element, encode_picture):
    classes = schema.ClassTable(values={"pet": 1, "background": 2}, ignore_values=(3,))
    example_of(encoder_of(FEATURES, classes), element)


def test_a_mask_of_another_size(encoder, element, encode_picture):
    element["segmentation_mask"] = encode_picture(np.ones((4, 2), np.uint8))
    problem = problem_of(encoder, element)
    assert "mask is 2x4, the image 4x2 (width x height)" in problem


@pytest.mark.parametrize(
    "damage", [lambda b: b"no picture at all", lambda b: b[:50], lambda b: b"", lambda b: b"BM" + b]
)
@pytest.mark.parametrize("part", ["image", "segmentation_mask"])
def test_bytes_that_are_no_picture(encoder, element, part, damage):
    element[part] = damage(element[part])
    what = "image" if part == "image" else "mask"
    assert problem_of(encoder, element).startswith(f"its {what} can't be decoded")


def test_a_picture_that_says_it_is_huge_is_not_decoded(encoder, element, encode_picture):
    """A PNG of 30 KB whose header says 40,000 x 40,000; decoded, it would take 4.8 GB."""
    bomb = bytearray(encode_picture(np.zeros((100, 100, 3), np.uint8)))
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    element["image"] = bytes(bomb)
    assert re.search("million pixels.*max_pixels", problem_of(encoder, element))


def test_a_mask_that_must_show_something(element, pet_classes, encode_picture):
    limits = BadExamplesConfig(must_show=("pet", "border"))
    strict = encoder_of(FEATURES, pet_classes, limits)
    example_of(strict, element)
    element["segmentation_mask"] = encode_picture(np.full((2, 4), 2, np.uint8))
    assert problem_of(strict, element) == "the mask shows no pet and no border"


@pytest.mark.parametrize("ignored", [(), (7,)])
def test_masks_of_16_bits(element, encode_picture, ignored):
    raw = np.array([[3, 1000, 65535, 3], [7, 7, 1000, 3]], np.uint16)
    element["segmentation_mask"] = encode_picture(raw)
    classes = schema.ClassTable(values={"a": 3, "b": 1000, "c": 65535}, ignore_values=ignored)
    encoder = encoder_of(FEATURES, classes)
    if not ignored:
        assert "value 7 (2 pixels)" in problem_of(encoder, element)
        return
    feature = example_of(encoder, element).features.feature
    stored = tf.io.decode_png(feature[schema.MASK].bytes_list.value[0])[..., 0].numpy()
    np.testing.assert_array_equal(stored, [[0, 1, 2, 0], [255, 255, 1, 0]])
    assert feature["share_a"].float_list.value[0] == pytest.approx(3 / 8)
    prepared = preprocessing.prepare_masks(
        tf.constant([feature[schema.MASK].bytes_list.value[0]]), (2, 4), classes
    )
    np.testing.assert_array_equal(prepared[0], stored)


def test_small_values_in_a_mask_of_16_bits(encoder, element, encode_picture):
    raw = np.array([[1, 1, 2, 2], [1, 3, 2, 2]], np.uint16)
    element["segmentation_mask"] = encode_picture(raw)
    feature = example_of(encoder, element).features.feature
    stored = tf.io.decode_png(feature[schema.MASK].bytes_list.value[0])[..., 0].numpy()
    np.testing.assert_array_equal(stored, raw)


def test_a_dataset_that_knows_what_is_wrong_with_an_example(element, pet_classes):
    features = tfds.features.FeaturesDict({**FEATURES, schema.PROBLEM: tfds.features.Text()})
    encoder = encoder_of(features, pet_classes)
    example_of(encoder, {**element, schema.PROBLEM: b""})
    assert problem_of(encoder, {**element, schema.PROBLEM: b"no good"}) == "no good"
    broken = {**element, "image": b"", schema.PROBLEM: b"no good either"}
    assert problem_of(encoder, broken) == "no good either"


def test_a_bad_example_does_not_change_what_becomes_of_its_neighbours(encoder, element):
    """Alone, in a batch of good ones, and in a batch with bad ones: the same bytes."""
    bad = {**element, "image": element["image"][:40]}
    (alone,) = encoder.encode([element])
    assert encoder.encode([element] * 5) == [alone] * 5
    mixed = encoder.encode([bad, element, bad, element])
    assert [one.problem != "" for one in mixed] == [True, False, True, False]
    assert mixed[1] == mixed[3] == alone


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (37, 53), (200, 100)])
def test_brightness_is_the_mean_of_the_pixels(encoder, element, encode_picture, size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    element["image"] = encode_picture(image)
    element["segmentation_mask"] = encode_picture(np.ones(size, np.uint8))
    (brightness,) = (
        example_of(encoder, element).features.feature[schema.BRIGHTNESS].float_list.value
    )
    assert brightness == pytest.approx(image.mean() / 255, rel=1e-5)


BANDS = BandsConfig(count=4, take=(4, 1), depth="uint16")
DEEP = np.random.default_rng(0).integers(0, 9000, (2, 4, 4)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["numbers", "image", "npy"])
def test_bands_come_from_numbers_pngs_and_arrays(kind, element, pet_classes):
    """As TFDS keeps each; the example has the bands that are taken, and nothing is lost."""
    feature, content = {
        "numbers": (
            tfds.features.Tensor(shape=(None, None, 4), dtype=np.uint16),
            tf.io.serialize_tensor(DEEP).numpy(),
        ),
        "image": (
            tfds.features.Image(shape=(None, None, 4), dtype=np.uint16),
            tf.io.encode_png(DEEP).numpy(),
        ),
        "npy": (tfds.features.Tensor(shape=(), dtype=tf.string), to_npy(DEEP[..., [3, 0]])),
    }[kind]
    features = tfds.features.FeaturesDict({**FEATURES, "image": feature})
    encoder = encoder_of(features, pet_classes, bands=BANDS)
    found = example_of(encoder, {**element, "image": content}).features.feature
    np.testing.assert_array_equal(
        from_npy(found[schema.IMAGE].bytes_list.value[0]), DEEP[..., [3, 0]]
    )
    mean = DEEP[..., [3, 0]].mean() / 65535
    assert found[schema.BRIGHTNESS].float_list.value[0] == pytest.approx(mean, rel=1e-4)
    assert found[schema.HEIGHT].int64_list.value[0] == 2


def test_other_bands_are_set_aside_with_the_reason(element, pet_classes):
    feature = tfds.features.Image(shape=(None, None, None), dtype=np.uint16)
    features = tfds.features.FeaturesDict({**FEATURES, "image": feature})
    encoder = encoder_of(features, pet_classes, bands=BANDS)
    three = {**element, "image": tf.io.encode_png(DEEP[..., :3]).numpy()}
    good = {**element, "image": tf.io.encode_png(DEEP).numpy()}
    first, second = encoder.encode([three, good])
    assert first.problem == (
        "its picture can't be used: it has 3 bands, not 4 as dataset.bands of the model's "
        "config says: save it with the same bands, in the same order"
    )
    assert second.record and not second.problem


class DeepPictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Two pictures of different sizes, their values in a feature of some kind."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, feature, pictures, **options):
        self._feature, self._pictures = feature, pictures
        super().__init__(**options)

    def _info(self):
        features = {**FEATURES, "image": self._feature}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index, picture in enumerate(self._pictures):
            mask = np.ones((*picture.shape[:2], 1), np.uint8)
            rest = {"file_name": str(index), "species": "cat", "year": 2020}
            yield index, {"image": picture, "segmentation_mask": mask, **rest}


@pytest.mark.parametrize(
    ("feature", "depth", "channels"),
    [
        (tfds.features.Tensor(shape=(None, None, 5), dtype=np.int16, encoding="bytes"), "int16", 5),
        (
            tfds.features.Tensor(shape=(None, None, 4), dtype=np.float32, encoding="zlib"),
            "float32",
            4,
        ),
        (tfds.features.Image(shape=(None, None, 1), dtype=np.float32), "float32", 1),
        (tfds.features.Image(shape=(None, None, 4), dtype=np.uint8), "uint8", 4),
    ],
)
def test_bands_of_datasets_as_tfds_keeps_them(feature, depth, channels, pet_classes, tmp_path):
    rng = np.random.default_rng(0)
    drawn = [(rng.random((*size, channels)) * 99).astype(depth) for size in ((6, 9), (11, 4))]
    builder = DeepPictures(feature, drawn, data_dir=str(tmp_path))
    builder.download_and_prepare()
    encoder = encoder_of(
        builder.info.features, pet_classes, bands=BandsConfig(count=channels, depth=depth)
    )
    dataset = builder.as_dataset(split="train", decoders=encoder.decoders).batch(2)
    (batch,) = dataset.as_numpy_iterator()
    elements = [dict(zip(batch, one, strict=True)) for one in zip(*batch.values(), strict=True)]
    for element, found in zip(elements, encoder.encode(elements), strict=True):
        assert not found.problem
        feature = tf.train.Example.FromString(found.record).features.feature
        pixels = from_npy(feature[schema.IMAGE].bytes_list.value[0])
        np.testing.assert_array_equal(pixels, drawn[int(element["file_name"])])
