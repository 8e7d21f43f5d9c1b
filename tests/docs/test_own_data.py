"""The table "You have this → do this": each line is drawn, and run by the command that it names.

The values that a run would read are compared with those that were drawn.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import re
import types
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tifffile
from drawn_forms import (
    big_void,
    binary,
    bordered,
    by_class,
    coco,
    damaged,
    deep,
    each_its_folder,
    jpeg,
    labelme,
    lists,
    lying,
    masked,
    on_the_earth,
    own_palette,
    placed,
    roboflow,
    run_lengths,
    slips,
    things,
    tiny,
    voc,
    with_file,
    written,
    yolo,
)
from geotiffs import write_raster
from PIL import Image
from scenes import VOC, names, scene
from surveys import COUNT, assert_own_splits, lay_out, png

from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from pipeline import cli
from pipeline.config.loading import load_config

PAGE = pathlib.Path(__file__).parents[2] / "docs/how-to/own-data.md"
SECTION = PAGE.read_text().split("## You have this → do this")[1].split("\n## ")[0]
ROWS = {
    cells[0].strip(): cells[1].strip()
    for line in SECTION.splitlines()
    if line.startswith("| ") and (cells := line.strip("| ").split(" | "))
}


@dataclasses.dataclass(frozen=True)
class Case:
    """Data of a line.

    Attributes:
      row: how the line begins.
      draw: makes it in a folder.
      meaning: of a drawn mask's values.
      told: of what init says, a pattern.
      options: of init.
      refused: whether init stops, and `told` is why.
      splits: whether the owner's are kept.
      order: whether values are in the drawn ones' order; else they are as good in another.
    """

    row: str
    draw: Callable[[pathlib.Path], object]
    meaning: Callable[[np.ndarray], np.ndarray] = lambda mask: mask
    told: str = ""
    options: Sequence[str] = ()
    refused: bool = False
    splits: bool = False
    order: bool = True


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
GREY = np.array([0, 128, 255], np.uint8)
OTHERWISE = ("--images", "data/q", "--masks", "data/r")
five_bands = deep(
    lambda path, image: tifffile.imwrite(
        path,
        np.dstack([image, image[..., :2]]),
        photometric="minisblack",
        planarconfig="contig",
    )
)
compressed_bands = deep(
    lambda path, image: write_raster(
        path, np.dstack([image, image[..., :2]]), photometric="MINISBLACK", compress="lzw"
    )
)

CASES = [
    Case("`images/` and `masks/`", placed("images/{n}.png", "masks/{n}.png.png")),
    Case("`images/` and `masks/`", placed("imgs/img_{i}.png", "masks/mask_{i:03}.png")),
    Case("`train/images`", placed("{s}/images/{n}.png", "{s}/masks/{n}.png"), splits=True),
    Case("`train/images`", placed("images/{s}/{n}.png", "masks/{s}/{n}.png"), splits=True),
    Case("`train/`, `trainannot/`", placed("{s}/{n}.png", "{s}annot/{n}.png"), splits=True),
    Case("pictures and masks in one folder", placed("a/{n}.png", "a/{n}_mask.png")),
    Case("names that say", placed("x/{n}.png", "y/{n}.png"), told="few values"),
    Case("names that say", placed("a/{n}.jpg", "a/{n}.png"), told="few values"),
    Case("names that say", placed("{n}/image.png", "{n}/mask.png"), told="few values"),
    Case(
        "`leftImg8bit/`",
        placed("leftImg8bit/{s}/{n}_leftImg8bit.png", "gtFine/{s}/{n}_gtFine_labelIds.png"),
        splits=True,
    ),
    Case("`JPEGImages/`", voc, bordered, "255 is thin", splits=True),
    Case(
        "`imagesTr/`",
        with_file(
            placed("imagesTr/{n}_0000.png", "labelsTr/{n}.png"),
            "dataset.json",
            '{"labels": {"background": 0, "cat": 1, "dog": 2}}',
        ),
        told="dog",
    ),
    Case(
        "CVAT's",
        with_file(
            masked(png(lambda mask, i: VOC[mask])),
            "labelmap.txt",
            "background:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n",
        ),
        told="dog",
    ),
    Case(
        "Roboflow's",
        with_file(
            lambda folder: lay_out(folder, "train/{n}.jpg", "train/{n}_mask.png"),
            "train/_classes.csv",
            "Pixel Value, Class\n0, background\n1, cat\n2, dog\n",
        ),
        told="dog",
    ),
    Case("Roboflow's", roboflow, told="dog", splits=True),
    Case("COCO", coco("annotations/instances_default.json"), told="dog"),
    Case("labelme's", labelme, told="dog"),
    Case("Ultralytics'", yolo, told="dog", splits=True),
    Case("run lengths", run_lengths),
    Case("a folder of masks", each_its_folder, binary, "united"),
    Case("a mask for each class", by_class("masks/{c}/{n}.png"), told="dog"),
    Case("a mask for each class", by_class("masks/{n}_{c}.png"), told="dog"),
    Case("a mask for each class", by_class("masks/{n}/{c}.png"), told="dog"),
    Case("lists", lists("txt"), splits=True),
    Case("lists", lists("csv"), splits=True),
    Case("`train_01.png`", placed("images/{s}_{n}.png", "masks/{s}_{n}.png"), splits=True),
    Case("masks in colours, or pal", masked(png(lambda mask, i: VOC[mask])), order=False),
    Case("masks in colours, or pal", masked(own_palette), told="palettes", order=False),
    Case("masks in black", masked(jpeg(binary)), binary, "two levels"),
    Case(
        "masks in colours, or of",
        masked(jpeg(lambda mask: GREY[mask])),
        lambda mask: GREY[mask],
        options=("--colors", "0", "128", "255"),
    ),
    Case(
        "the mask is the trans",
        masked(png(lambda mask, i: np.dstack([mask * 0] * 3 + [binary(mask)]))),
        binary,
        "opaque is the object",
    ),
    Case(
        "masks of fractions",
        masked(lambda path, mask, i: np.save(path.with_suffix(".npy"), mask / 2)),
        options=("--recode", "0.5=1", "1=2"),
    ),
    Case("masks of numbered", things, told="--instances", refused=True),
    Case("255 that", masked(png(big_void)), lambda mask: big_void(mask, 0), "--ignore 255"),
    Case("a value of", masked(png(slips(1))), None, "3 stray pixels in s00.png"),
    Case("a value of", masked(png(slips(3))), told="--ignore 7 .*--classes", refused=True),
    Case("masks a pixel", masked(png(lambda m, i: np.pad(m, ((0, 1), (0, 0))))), told="cut"),
    Case("masks of half", masked(png(lambda m, i: m.repeat(2, 0).repeat(2, 1))), told="as large"),
    Case(
        "boxes among",
        coco("all.json", lambda content: content["annotations"][0].update(segmentation=[])),
        told="1 annotations have a box",
    ),
    Case(
        "boxes among",
        coco("all.json", lambda content: content["annotations"][0].update(segmentation=[])),
        options=("--boxes", "draw"),
    ),
    Case(
        "pictures of 12",
        deep(lambda path, image: tifffile.imwrite(path, image.astype(">u2") * 16, byteorder=">")),
        told="12 bits",
    ),
    Case("TIFFs of several bands", compressed_bands, told="have 5 bands of uint8"),
    Case("pictures of five", five_bands, options=("--bands", "3", "2", "1")),
    Case(
        "pictures of five",
        five_bands,
        told="5 bands of uint8, all of which the model sees",
    ),
    Case(
        "a microscope's",
        deep(lambda path, image: tifffile.imwrite(path, image[..., 0].astype(np.uint16) * 99)),
        told="1 band of uint16",
        options=("--all-bands",),
    ),
    Case(
        "stacks",
        deep(lambda path, image: tifffile.imwrite(path, np.stack([image] * 2), photometric="rgb")),
        told="the first is taken",
    ),
    Case("pictures that EXIF", lying, told="to be turned"),
    Case("HEIC", written(".heic", HEIC), told="HEIC", refused=True),
    Case("masks as `.npy`", masked(lambda path, mask, i: np.save(f"{path}.npy", mask))),
    Case("Git LFS", written(".png", LFS), told="git lfs pull", refused=True),
    Case("GeoTIFFs", on_the_earth),
    Case(
        "GeoTIFFs", lambda folder: on_the_earth(folder, 5), told="is off by 5 pixels", refused=True
    ),
    Case("NIfTI", written(".nii.gz", b"\x1f\x8b"), told="save each slice", refused=True),
    Case("things that are too small", tiny, None, "50% .* vanish at 128x128.* at 256x256 0%"),
    Case(
        "a folder that is called",
        placed("q/{n}.png", "r/a/{n}.png"),
        options=("--images", "data/q", "--masks", "data/r"),
    ),
    Case(
        "a split that",
        placed("{s}/images/{n}.png", "{s}/masks/{n}.png"),
        options=("--split", "hash"),
        told="by a hash",
    ),
    Case("some pictures", damaged, told="--leave-out", refused=True),
    Case("some pictures", damaged, None, "can't be used", options=("--leave-out",)),
]


def row_of(case):
    return [row for row in ROWS if row.startswith(case.row)]


def test_each_line_has_its_case():
    assert all(len(row_of(case)) == 1 for case in CASES)
    assert {row_of(case)[0] for case in CASES} == set(ROWS) - {"you have"}
    told = set(re.findall(r"`(--[a-z-]+)", " ".join(ROWS.values())))
    run = " ".join(f"{case.told} {' '.join(case.options)}" for case in CASES)
    named = {"--value-range", "--orientation", "--annotations"}
    assert told <= named | set(re.findall(r"--[a-z-]+", run))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row.strip("`"))
def test_what_you_have(case, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    case.draw(folder)
    monkeypatch.chdir(tmp_path)
    command = ["init", "data", "--out", "data.yaml", *case.options]
    if case.refused:
        with pytest.raises(SystemExit):
            cli.main(command)
        assert re.search(case.told, capsys.readouterr().err)
        assert os.listdir(tmp_path) == ["data"]
        return
    cli.main(command)
    assert re.search(case.told, capsys.readouterr().out)
    dataset = load_config("data.yaml").dataset
    config = dataset.folder
    found = types.SimpleNamespace(config=config, matched=mask_source(config).match())
    if case.splits:
        assert_own_splits(found)
    if case.meaning is None:
        return
    source, table, seen = mask_source(config), {}, 0
    for pair in found.matched.pairs:
        index = next(
            at
            for at, name in enumerate(names(COUNT))
            if name in pair.name or pair.name.startswith(f"img_{at}.")
        )
        got = read_pair(pair, source, config, dataset.bands)
        assert not got.problem
        values = np.asarray(Image.open(io.BytesIO(got.mask)))
        mask = case.meaning(scene(index)[1])
        for drawn, value in set(zip(mask.ravel().tolist(), values.ravel().tolist(), strict=True)):
            assert table.setdefault(drawn, value) == value, pair.name
            assert not case.order or drawn == value, pair.name
        seen += 1
    assert seen >= COUNT - 1 and len(set(table.values())) == len(table)
