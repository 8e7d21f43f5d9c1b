"""A folder of pictures and masks, as people have them."""

import numpy as np
from PIL import Image

from components.datasets.config import FolderConfig
from components.example_gen.config import DatasetConfig

RNG = np.random.default_rng(0)


def picture(path, size=(20, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 255, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def mask(path, values, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette is not None:
        image = Image.fromarray(values, "P")
        image.putpalette(list(palette))
    image.save(path)


def values(size=(20, 30), choices=(0, 1)):
    return RNG.choice(np.array(choices), size).astype(np.uint8)


def config_of(folder, **settings):
    settings = {"images": str(folder / "images"), "masks": str(folder / "masks"), **settings}
    return DatasetConfig(
        name="image_folder", folder=FolderConfig(**settings), data_dir=str(folder / "tfds")
    )
