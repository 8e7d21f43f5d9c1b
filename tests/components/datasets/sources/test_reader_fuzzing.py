"""Damaged masks, pictures and annotations: each is read, or its problem told; none breaks init."""

import io

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
from components.datasets.reading import read_image, read_pair
from components.datasets.sources.mask_source import mask_source

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
