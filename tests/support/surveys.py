"""Folders of drawn data, and what `segline init` finds in them against what was drawn."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image
from scenes import names, save, scene

from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.splitting import split

COUNT = 12


def lay_out(root, image, mask):
    """Saves pictures and masks by patterns: {n} is the name, {s} the split, {S} in capitals."""
    for index, name in enumerate(names(COUNT)):
        part = parted(index)
        for pattern, content in zip((image, mask), scene(index)[:2], strict=True):
            save(root / pattern.format(s=part, S=part.capitalize(), n=name), content)


def masks(folder, make):
    """Saves pictures, and masks as `make(path without ending, mask, index)` does."""
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / "images" / f"{name}.png", image)
        (folder / "masks").mkdir(exist_ok=True, parents=True)
        make(folder / "masks" / name, mask, index)
    return str(folder)


def png(content):
    """For `masks`: PNG files of `content(mask, index)`."""
    return lambda path, mask, index: save(path.with_suffix(".png"), content(mask, index))


def read(found):
    """Name without folders and ending -> values; and split -> names likewise."""
    source = mask_source(found.config)
    values = {}
    for pair in found.matched.pairs:
        got = read_pair(pair, source, found.config)
        assert not got.problem, got.problem
        values[stem(pair.name)] = np.asarray(Image.open(io.BytesIO(got.mask)))
    splits = split(found.matched.pairs, found.config, source)
    return values, {name: {stem(p.name) for p in pairs} for name, pairs in splits.items()}


def stem(name):
    return os.path.splitext(os.path.basename(name))[0]


def assert_values(found, meaning=lambda mask: mask):
    """All masks are read as what was drawn means."""
    values, _ = read(found)
    assert len(values) == COUNT
    for index, name in enumerate(names(COUNT)):
        key = next(one for one in values if name in one)
        np.testing.assert_array_equal(values[key], meaning(scene(index)[1]), name)


def parted(index):
    """The split that a picture's owner has put it into."""
    return ("train", "train", "train", "val", "test", "train")[index % 6]


OWN = {name: parted(index) for index, name in enumerate(names(COUNT))}


def assert_own_splits(found):
    _, splits = read(found)
    for name, part in (("train", "train"), ("validation", "val"), ("test", "test")):
        got = {one for names in splits[name] for one in OWN if one in names}
        assert got == {one for one in OWN if OWN[one] == part}, name
