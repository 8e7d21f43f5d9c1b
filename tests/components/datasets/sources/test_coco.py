"""COCO annotations become masks: held against masks drawn with NumPy."""

import io
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from components.common import schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.example_gen import dataset
from components.example_gen.config import DatasetConfig
from pipeline import cli
from pipeline.config.loading import load_config

SIZE = (30, 40)
CAT, DOG = 17, 300  # ids with gaps; the second needs 16 bits


def box(x0, y0, x1, y1):
    """As a polygon, and as pixels."""
    pixels = np.zeros(SIZE, bool)
    pixels[y0:y1, x0:x1] = True
    return [[x0, y0, x1, y0, x1, y1, x0, y1]], pixels


def run_lengths(pixels):
    """COCO's uncompressed form: column by column, beginning with what is not covered."""
    flat = np.concatenate([[0], pixels.T.ravel().astype(int), [0]])
    changes = np.flatnonzero(np.diff(flat))
    edges = np.concatenate([[0], changes, [pixels.size]])
    counts = np.diff(edges).tolist()
    return {"size": list(SIZE), "counts": counts[:-1] if counts[-1] == 0 else counts}


def compressed(pixels):
    runs = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": list(SIZE), "counts": runs["counts"].decode()}


def write(folder, annotations, count=40, categories=((CAT, "cat"), (DOG, "dog"))):
    """Pictures, and the file; annotations: picture's number -> (category, segmentation)."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    content = {"images": [], "annotations": [], "categories": []}
    for number in range(count):
        pixels = rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03d}.jpg")
        entry = {"id": 1000 + number, "file_name": f"{number:03d}.jpg"}
        content["images"].append({**entry, "height": SIZE[0], "width": SIZE[1]})
        for category, segmentation in annotations.get(number, ()):
            entry = {"id": len(content["annotations"]) + 1, "image_id": 1000 + number}
            entry |= {"category_id": category, "segmentation": segmentation, "iscrowd": 0}
            content["annotations"].append(entry)
    content["categories"] = [{"id": number, "name": name} for number, name in categories]
    path = folder / "annotations" / "instances.json"
    path.write_text(json.dumps(content))
    return path


def config_of(folder, path, **settings):
    return DatasetConfig(
        name="image_folder",
        folder=FolderConfig(images=str(folder / "images"), annotations=str(path), **settings),
        data_dir=str(folder / "tfds"),
    )


def masks_of(config):
    """Name -> (mask, problem), of all splits; and the dataset's config name."""
    builder = dataset.open_dataset(config)
    skip = {"image": tfds.decode.SkipDecoding(), "segmentation_mask": tfds.decode.SkipDecoding()}
    found = {}
    for split in builder.info.splits:
        for element in builder.as_dataset(split=split, decoders=skip).as_numpy_iterator():
            mask = np.asarray(Image.open(io.BytesIO(element["segmentation_mask"])))
            found[element["file_name"].decode()] = mask, element[schema.PROBLEM].decode()
    return found, builder.builder_config.name


def test_polygons_and_run_lengths_become_category_ids(tmp_path):
    large, large_pixels = box(5, 5, 35, 25)
    small, small_pixels = box(10, 8, 20, 20)
    two = box(0, 0, 6, 6)[0] + box(30, 20, 40, 30)[0]
    blob = np.random.default_rng(1).random(SIZE) < 0.4
    starts_covered = blob.copy()
    starts_covered[0, 0] = True
    path = write(
        tmp_path,
        {
            0: [(CAT, small), (DOG, large)],  # the small one is on top, whatever the order
            1: [(DOG, large), (CAT, small)],
            2: [(CAT, two)],
            3: [(DOG, run_lengths(blob))],
            4: [(CAT, compressed(blob))],
            5: [(CAT, run_lengths(starts_covered))],
            6: [(CAT, compressed(starts_covered))],
        },
    )
    found, _ = masks_of(config_of(tmp_path, path))
    assert len(found) == 40 and not any(problem for _, problem in found.values())
    both = np.where(small_pixels, CAT, np.where(large_pixels, DOG, 0))
    corners = box(0, 0, 6, 6)[1] | box(30, 20, 40, 30)[1]
    expected = {
        0: both,
        1: both,
        2: corners * CAT,
        3: blob * DOG,
        4: blob * CAT,
        5: starts_covered * CAT,
        6: starts_covered * CAT,
    }
    for number in range(40):
        mask = found[f"{number:03d}.jpg"][0]
        np.testing.assert_array_equal(mask, expected.get(number, np.zeros(SIZE)), str(number))


BAD = {
    "two points": [[1, 1, 5, 5]],
    "odd numbers": [[1, 1, 5, 5, 9, 9, 3]],
    "far outside": [[0, 0, 1e9, 0, 1e9, 1e9]],
    "no number": [["a", 1, 2, 3, 4, 5]],
    "another size": {"size": [5, 5], "counts": [25]},
    "too many pixels": {"size": list(SIZE), "counts": [5, 10**7]},
    "negative": {"size": list(SIZE), "counts": [-5, SIZE[0] * SIZE[1] + 5]},
    "too many compressed": {"size": list(SIZE), "counts": "ooooo1"},
    "broken off": {"size": list(SIZE), "counts": "o"},
    "not of the alphabet": {"size": list(SIZE), "counts": "\u00e9~"},
    "nothing": None,
    "no polygon": [],
    "a text": "polygon",
}


def test_annotations_that_can_not_be_drawn_are_told(tmp_path):
    path = write(tmp_path, {number: [(CAT, bad)] for number, bad in enumerate(BAD.values())})
    found, _ = masks_of(config_of(tmp_path, path))
    for number, name in enumerate(BAD):
        assert "can't be drawn: " in found[f"{number:03d}.jpg"][1], name
    assert sum(bool(problem) for _, problem in found.values()) == len(BAD)


def test_an_annotation_that_changes_makes_a_new_version(tmp_path):
    config = config_of(tmp_path, write(tmp_path, {0: [(CAT, box(1, 1, 9, 9)[0])]}))
    _, first = masks_of(config)
    assert masks_of(config)[1] == first
    write(tmp_path, {0: [(CAT, box(1, 1, 9, 10)[0])]})
    found, second = masks_of(config)
    assert second != first and (found["000.jpg"][0] == CAT).sum() == 8 * 9


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no JSON", "no COCO file"),
        ("[]", "no COCO file"),
        ('{"images": []}', "no COCO file"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "has no file_name"),
    ],
)
def test_files_that_are_no_annotations(content, told, tmp_path):
    path = write(tmp_path, {})
    path.write_text(content)
    with pytest.raises(UserError, match=f"instances.json.*{told}"):
        dataset.open_dataset(config_of(tmp_path, path))


def test_masks_or_annotations_but_not_both(tmp_path):
    with pytest.raises(ValueError, match="one of them is needed, and only one"):
        FolderConfig(images="a", masks="b", annotations="c")
    with pytest.raises(ValueError, match="one of them is needed, and only one"):
        FolderConfig(images="a")


def test_init_takes_the_names_of_the_categories(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "zoo"
    root.mkdir()
    shapes = [(CAT, box(2, 2, 20, 20)[0]), (DOG, box(22, 2, 38, 28)[0])]
    write(root, dict.fromkeys(range(40), shapes), categories=((CAT, "Cat, tame"), (DOG, "dog")))
    cli.main(["init", "zoo"])
    shown = capsys.readouterr().out
    assert "with masks in zoo/annotations/instances.json" in shown
    config = load_config("zoo.yaml", {})
    assert config.classes.values == {"background": 0, "cat_tame": CAT, "dog": DOG}
    assert config.dataset.folder.annotations == ("zoo/annotations/instances.json",)
    assert yaml.safe_load((tmp_path / "zoo.yaml").read_text())["dataset"]["folder"]["images"]
    assert f"{18 * 18 / (30 * 40):.2%}" in shown


def test_entries_that_point_outside_the_folder_have_no_picture(tmp_path):
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "secret.jpg")
    path = write(tmp_path, {})
    content = json.loads(path.read_text())
    for entry, name in zip(
        content["images"], ("../secret.jpg", str(tmp_path / "secret.jpg")), strict=False
    ):
        entry["file_name"] = name
    path.write_text(json.dumps(content))
    found, _ = masks_of(config_of(tmp_path, path))
    assert len(found) == 38 and "secret.jpg" not in " ".join(found)
