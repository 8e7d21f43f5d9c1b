"""Damaged masks, pictures and annotations: each is read, or its problem told; none breaks init."""

import io
import json

import mutations
import numpy as np
import pytest
import scenes
import tifffile
from PIL import Image
from scenes import VOC, names, paletted, save, scene

from components.common import picture_formats
from components.common.errors import UserError
from components.common.picture_settings import DEFAULT
from components.datasets.config import FolderConfig
from components.datasets.masks.mask_values import read_mask
from components.datasets.masks.raw_mask import LARGEST
from components.datasets.reading import read_image, read_pair, size_of
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.splitting import split
from components.datasets.survey import survey

pytestmark = pytest.mark.slow

MASK = scene(0)[1]
CONFIGS = (
    FolderConfig(images="a", masks="b"),
    FolderConfig(images="a", masks="b", colors={0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0)}),
)


def saved(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


FILES = [
    saved(lambda file: np.save(file, MASK.astype(np.int32))),
    saved(lambda file: np.save(file, MASK / 2)),
    saved(lambda file: tifffile.imwrite(file, MASK.astype(np.float32))),
    saved(lambda file: tifffile.imwrite(file, MASK.astype(">u2"), byteorder=">")),
    saved(lambda file: paletted(MASK, VOC).save(file, "PNG", transparency=0)),
    saved(lambda file: Image.fromarray(VOC[MASK]).save(file, "WEBP", lossless=True)),
    saved(lambda file: Image.fromarray(MASK.astype(np.uint16) * 99).save(file, "PNG")),
    saved(lambda file: Image.fromarray(MASK).save(file, "GIF")),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("which", range(len(FILES)))
def test_damaged_files(which):
    told = 0
    for seed in range(60):
        content = mutations.mutate(FILES[which], FILES[which - 1], 100 * which + seed)
        for config in CONFIGS:
            mask, problem = read_mask(content, config)
            told += bool(problem)
            huge = (picture_formats.pixels_of(mask) or 0) > LARGEST  # ExampleGen tells it
            assert problem or huge or Image.open(io.BytesIO(mask)).format == "PNG"
            assert "\n" not in problem
        try:
            read_image(content, None, DEFAULT)
        except OSError as error:
            assert str(error)
    assert told, "nothing was tested"


def coco(folder):
    file_names = {f"{name}.png": index for index, name in enumerate(names(3))}
    scenes.write_json(folder / "all.json", scenes.coco(file_names))
    return folder / "all.json", {"annotations": str(folder / "all.json")}


def labelme(folder):
    for index, name in enumerate(names(3)):
        box = scene(index)[2][0]
        shape = {"label": "cat", "shape_type": "polygon", "points": scenes.polygon(box)}
        scenes.write_json(folder / f"json/{name}.json", {"shapes": [shape], "imageData": None})
    return folder / "json/s01.json", {"labelme": str(folder / "json"), "labels": {"cat": 1}}


def yolo(folder):
    for name in names(3):
        (folder / "labels").mkdir(exist_ok=True)
        (folder / f"labels/{name}.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0 0 1 0 1 1 0 1\n")
    return folder / "labels/s01.txt", {"yolo": str(folder / "labels")}


def run_lengths(folder):
    lines = ["ImageId,ClassId,EncodedPixels", *(f"{n}.png,1,5 9 40 7" for n in names(3))]
    (folder / "train.csv").write_text("\n".join(lines))
    return folder / "train.csv", {"run_lengths": str(folder / "train.csv"), "labels": {"1": 1}}


@pytest.mark.parametrize("make", [coco, labelme, yolo, run_lengths])
def test_damaged_annotations(make, tmp_path):
    for index, name in enumerate(names(3)):
        save(tmp_path / "images" / f"{name}.png", scene(index)[0])
    path, form = make(tmp_path)
    config = FolderConfig(images=str(tmp_path / "images"), **form)
    sound = path.read_bytes()
    told = 0
    for seed in range(120):
        path.write_bytes(mutations.mutate(sound, sound[::-1], seed))
        try:
            source = mask_source(config)
            matched = source.match()
        except UserError:
            told += 1
            continue
        for pair in matched.pairs:
            found = read_pair(pair, source, config)
            told += bool(found.problem)
            if not found.problem:
                assert Image.open(io.BytesIO(found.mask)).mode in ("L", "I;16")
            assert "\n" not in found.problem
    assert told, "nothing was tested"


def two_sizes(folder):
    for index, name in enumerate(names(3)):
        _, mask, _ = scene(index)
        save(folder / f"masks/{name}.png", (mask[::2, ::2], np.pad(mask, 1), mask)[index])
    fitting = {"resized": True, "size_tolerance": 2}
    return folder / "masks/s00.png", {"masks": str(folder / "masks"), "mask_values": fitting}


def of_each_class(folder):
    for index, name in enumerate(names(3)):
        for value, kind in ((1, "cat"), (2, "dog")):
            save(folder / f"masks/{name}_{kind}.png", np.uint8((scene(index)[1] == value) * 255))
    form = {"mask_parts": "classes", "labels": {"cat": 1, "dog": 2}}
    return folder / "masks/s00_dog.png", {"masks": str(folder / "masks"), **form}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [two_sizes, of_each_class])
def test_damaged_masks_among_sound_ones(make, tmp_path):
    """The damaged one is told or read; the others stay what they are."""
    for index, name in enumerate(names(3)):
        save(tmp_path / "images" / f"{name}.png", scene(index)[0])
    path, form = make(tmp_path)
    config = FolderConfig(images=str(tmp_path / "images"), **form)
    source = mask_source(config)
    pairs = source.match().pairs
    before = [read_pair(pair, source, config) for pair in pairs]
    assert not any(found.problem for found in before)
    sound, told, fitted = path.read_bytes(), 0, 0
    for seed in range(150):
        path.write_bytes(mutations.mutate(sound, sound[::-1], seed))
        found = [read_pair(pair, source, config) for pair in pairs]
        assert found[1:] == before[1:]
        told += bool(found[0].problem)
        assert "\n" not in found[0].problem
        if not found[0].problem and size_of(found[0].mask) == size_of(before[0].mask):
            fitted += 1
    assert told and fitted, "nothing was tested"


OWN = {"s00": "train", "s01": "val", "s02": "test", "s03": "train", "s04": "val", "s05": "test"}
TABLES = {
    "all.csv": "\n".join(["name,split", *(f"{n}.png,{part}" for n, part in OWN.items())]),
    "flags.csv": "name;is_valid;is_test\n"
    + "\n".join(f"{n}.png;{part == 'val'};{part == 'test'}" for n, part in OWN.items()),
    "all.json": json.dumps(
        {part: [n for n in OWN if OWN[n] == part] for part in ("train", "val", "test")}
    ),
    "test.txt": "s02.png masks/s02.png\ns05.png masks/s05.png\n",
}


@pytest.mark.parametrize("table", TABLES)
def test_damaged_split_tables(table, tmp_path):
    """Whatever a table says, no picture is in two splits, and init ends with a word."""
    for index, name in enumerate(OWN):
        image, mask, _ = scene(index)
        save(tmp_path / "images" / f"{name}.png", image)
        save(tmp_path / "masks" / f"{name}.png", mask)
    sound = TABLES[table].encode()
    path = tmp_path / table
    told = split_by = 0
    for seed in range(60):
        path.write_bytes(mutations.mutate(sound, sound[::-1], seed))
        try:
            found = survey(str(tmp_path))
        except UserError as error:
            assert str(error)
            told += 1
            continue
        split_by += found.config.split_by == "lists"
        splits = split(found.matched.pairs, found.config, mask_source(found.config))
        shown = [pair.name for ones in splits.values() for pair in ones]
        assert len(shown) == len(set(shown)) and all(splits.values())
        # A name that the damage has spared is where its owner has put it.
        if found.config.split_by == "lists" and table == "test.txt":
            assert not {"s02.png", "s05.png"} & {pair.name for pair in splits["train"]} or (
                b"s02.png" not in path.read_bytes() or b"s05.png" not in path.read_bytes()
            )
    assert split_by, "nothing was tested"
