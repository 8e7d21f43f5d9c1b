"""Folders of pictures and masks, as people have them."""

import io
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from picture_folders import RNG, config_of, mask, picture, values
from PIL import Image

from components.common import schema
from components.common.errors import UserError
from components.common.picture_settings import DEFAULT
from components.datasets import reading
from components.datasets.config import FolderConfig
from components.datasets.masks import mask_values
from components.datasets.sources.mask_files import MaskFiles
from components.datasets.splits import splitting as splits
from components.example_gen import dataset
from components.example_gen.config import DatasetConfig


def read(builder):
    """Split -> name -> (image bytes, mask, problem)."""
    skip = {"image": tfds.decode.SkipDecoding(), "segmentation_mask": tfds.decode.SkipDecoding()}
    result = {}
    for split in schema.SPLITS:
        elements = builder.as_dataset(split=split, decoders=skip).as_numpy_iterator()
        result[split] = {
            element["file_name"].decode(): (
                element["image"],
                np.asarray(Image.open(io.BytesIO(element["segmentation_mask"]))),
                element[schema.PROBLEM].decode(),
            )
            for element in elements
        }
    return result


def test_pictures_pass_through_and_masks_keep_their_values(folder):
    root, truths = folder
    config = config_of(root)
    builder = dataset.open_dataset(config)
    dataset.check_features(builder, config)
    found = read(builder)
    everything = {name: parts for split in found.values() for name, parts in split.items()}
    assert sorted(everything) == sorted(truths)
    for name, (image, truth, problem) in everything.items():
        assert image == (root / "images" / name).read_bytes()
        np.testing.assert_array_equal(truth, truths[name])
        assert problem == ""
    assert dataset.identify(builder, config).splits == {k: len(v) for k, v in found.items()}


def test_a_picture_stays_in_its_split_and_the_old_state_stays_as_it_was(folder):
    root, _ = folder
    config = config_of(root)
    before = dataset.open_dataset(config)
    first, old = dataset.identify(before, config), read(before)
    assert dataset.identify(dataset.open_dataset(config), config) == first
    for index in range(40, 60):
        picture(root / "images" / f"a/{index}.jpg")
        mask(root / "masks" / f"a/{index}.png", values())
    after = dataset.open_dataset(config)
    second, new = dataset.identify(after, config), read(after)
    assert second.fingerprint != first.fingerprint and second.data_path != first.data_path
    for split, pairs in old.items():
        assert set(pairs) < set(new[split]) or set(pairs) == set(new[split])
    assert sum(map(len, new.values())) == 60
    again = tfds.builder_from_directory(first.data_path)
    assert {k: len(v) for k, v in read(again).items()} == first.splits


def test_a_changed_mask_of_the_same_size_is_other_data(folder):
    root, _ = folder
    config = config_of(root)
    first = dataset.identify(dataset.open_dataset(config), config)
    path = root / "masks/a/0.png"
    with Image.open(path) as image:
        changed = 1 - np.asarray(image)
    mask(path, changed)
    os.utime(path, (1, 1))  # (the clock may have gone back)
    second = dataset.identify(dataset.open_dataset(config), config)
    assert second.fingerprint != first.fingerprint


def test_the_same_files_elsewhere_are_the_same_data(folder, tmp_path_factory):
    root, _ = folder
    other = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, other)
    first, second = (
        dataset.identify(dataset.open_dataset(config), config)
        for config in (config_of(root), config_of(other))
    )
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("train", ["train", "training"])
@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_splits_by_folder(tmp_path, train, validation):
    for index, name in enumerate((train, train, validation, "test")):
        picture(tmp_path / "images" / name / f"{index}.png")
        mask(tmp_path / "masks" / name / f"{index}.png", values())
    matched = MaskFiles(config_of(tmp_path).folder).match()
    found = splits.split(matched.pairs, config_of(tmp_path, split_by="folders").folder)
    assert {name: len(pairs) for name, pairs in found.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    # What is in no such folder is trained on; `init` says so.
    picture(tmp_path / "images/more/9.png")
    mask(tmp_path / "masks/more/9.png", values())
    matched = MaskFiles(config_of(tmp_path).folder).match()
    found = splits.split(matched.pairs, config_of(tmp_path, split_by="folders").folder)
    assert "more/9.png" in [pair.name for pair in found["train"]]


def test_splits_by_lists(folder):
    root, truths = folder
    names = sorted(truths)
    lists = {}
    for name, part in {"train": names[:30], "validation": names[30:35], "test": names[35:]}.items():
        lists[name] = str(root / f"{name}.txt")
        lines = [line.removesuffix(".jpg") if name == "test" else line for line in part]
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n\n")
    config = config_of(root, split_by="lists", lists=lists)
    found = read(dataset.open_dataset(config))
    assert sorted(found["validation"]) == names[30:35] and sorted(found["test"]) == names[35:]
    (root / "test.txt").write_text("a/1000.jpg\n")
    with pytest.raises(UserError, match="names 1 pictures that are not in .*: a/1000.jpg"):
        dataset.open_dataset(config)
    (root / "test.txt").write_text(names[0])
    with pytest.raises(UserError, match=f"{names[0]} is in .*train.txt .train. and in .*test.txt"):
        dataset.open_dataset(config)


def test_masks_are_found_by_path_or_by_name_alone(tmp_path, caplog):
    for name in ("x/one.jpg", "x/two.webp", "y/two.png", "three.tiff", "four.jpg"):
        picture(tmp_path / "images" / name)
    for name in (
        "one_mask.png",
        "x/two_mask.png",
        "y/two_mask.gif",
        "deep/er/three_mask.tif",
        "other_mask.png",
        "four.png",
    ):
        mask(tmp_path / "masks" / name, values())
    matched = MaskFiles(config_of(tmp_path, mask_suffix="_mask").folder).match()
    found = {pair.name: os.path.relpath(pair.mask, tmp_path / "masks") for pair in matched.pairs}
    assert found == {
        "x/one.jpg": "one_mask.png",
        "x/two.webp": "x/two_mask.png",
        "y/two.png": "y/two_mask.gif",
        "three.tiff": "deep/er/three_mask.tif",
    }
    assert matched.without_mask == ["four.jpg"]
    assert sorted(matched.without_picture) == ["four.png", "other_mask.png"]


def folder_config(**settings):
    return FolderConfig(images="images", masks="masks", **settings)


def as_file(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette_image(indices, palette):
    image = Image.fromarray(indices, "P")
    image.putpalette([channel for color in palette for channel in color])
    return image


SMALL = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
BLACK_AND_WHITE = [(0, 0, 0), (255, 255, 255)]
COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (as_file(Image.fromarray(SMALL), "PNG"), SMALL),
        (as_file(Image.fromarray(SMALL), "TIFF"), SMALL),
        (as_file(Image.fromarray(SMALL), "BMP"), SMALL),
        (as_file(palette_image(SMALL, COLOURS), "PNG"), SMALL),
        (as_file(palette_image(SMALL, COLOURS), "GIF"), SMALL),
        # Carvana's masks: GIF and PNG in black and white.
        (as_file(palette_image(SMALL % 2, BLACK_AND_WHITE), "GIF"), SMALL % 2 * 255),
        (as_file(Image.fromarray(SMALL % 2 * 255).convert("1"), "PNG"), SMALL % 2 * 255),
        (as_file(Image.fromarray(SMALL).convert("RGB"), "PNG"), SMALL),
        (as_file(Image.fromarray(SMALL.astype(np.uint16) * 1000), "PNG"), SMALL * 1000.0),
        (as_file(Image.fromarray(SMALL.astype(np.uint16) * 1000), "TIFF"), SMALL * 1000.0),
    ],
)
def test_masks_in_many_formats(content, expected):
    png, problem = mask_values.read_mask(content, folder_config())
    assert problem == ""
    found = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.uint16 if expected.max() > 255 else np.uint8)
    if found.dtype == np.uint8:  # and TensorFlow reads them so
        np.testing.assert_array_equal(tf.io.decode_image(png, channels=1)[..., 0], expected)


def test_masks_in_colours():
    colors = {7: (0, 0, 0), 3: (128, 0, 0), 5: (0, 128, 0)}
    content = as_file(palette_image(SMALL, COLOURS).convert("RGB"), "PNG")
    png, problem = mask_values.read_mask(content, folder_config(colors=colors))
    expected = np.array([7, 3, 5])[SMALL]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), expected)
    assert problem == ""
    _, problem = mask_values.read_mask(
        content, folder_config(colors={7: (0, 0, 0), 3: (128, 0, 0)})
    )
    assert problem == (
        "the mask has the colour [0, 128, 0] (2 pixels), which is not in dataset.folder.colors"
    )
    _, problem = mask_values.read_mask(content, folder_config())
    assert problem.startswith("the mask is coloured: say in dataset.folder.colors")


@pytest.mark.parametrize(
    "content", [b"", b"no picture", as_file(Image.fromarray(SMALL), "TIFF")[:60]]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow has seen it
def test_what_can_not_be_read_says_why(content):
    assert mask_values.read_mask(content, folder_config())[1].startswith("its mask can't be read: ")
    with pytest.raises(OSError, match="picture|TIFF|truncated"):
        reading.read_image(content, (3, 2), DEFAULT)


def test_pictures_are_upright_unless_the_mask_is_not():
    pixels = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone held upright
    content = as_file(image, "JPEG", exif=exif)
    for mask_size, expected in (((20, 30), (20, 30)), ((30, 20), (30, 20)), (None, (20, 30))):
        found = Image.open(io.BytesIO(reading.read_image(content, mask_size, DEFAULT).encoded))
        assert found.size == expected
    webp = as_file(image, "WEBP", lossless=True)
    np.testing.assert_array_equal(
        tf.io.decode_image(reading.read_image(webp, (30, 20), DEFAULT).encoded, channels=3), pixels
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "/no/such"}, "dataset.folder.images: there is no folder /no/such"),
        ({"mask_suffix": "_seg"}, "mask_suffix says what a mask's name has more"),
        ({"test": 0.0}, "no picture falls into the split test"),
        (
            {"split_by": "lists", "lists": dict.fromkeys(schema.SPLITS, "/no.txt")},
            "/no.txt: No such",
        ),
    ],
)
def test_folders_that_can_not_be_used(folder, settings, message):
    with pytest.raises(UserError, match=message):
        dataset.open_dataset(config_of(folder[0], **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split_by": "lists"}, "lists: needed"),
        ({"lists": {"train": "a"}}, "lists: needed"),
        (
            {"split_by": "lists", "lists": {"train": "a"}},
            "name a file for validation, or `borrow` it",
        ),
        ({"validation": 0.5, "test": 0.5}, "nothing is left to train on"),
        ({"colors": {1: (0, 0, 0), 2: (0, 0, 0)}}, r"\[0, 0, 0\] is listed twice"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        FolderConfig(images="a", masks="b", **settings)
    with pytest.raises(ValueError, match="folder: needed for"):
        DatasetConfig(name="image_folder")
    with pytest.raises(ValueError, match="folder: needed for"):
        DatasetConfig(name="pets", folder=FolderConfig(images="a", masks="b"))
