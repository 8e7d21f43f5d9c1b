"""`synthetic_fields`: drawn aerial pictures of farmland, crossed by roads three pixels wide.

Large scenes with fine structures, for `transform.fit: tiles`, without a download. Every scene
is drawn from its own seed: the dataset's version alone determines its pixels. With four bands of
16 bits, as a satellite's: red, green, blue and near infrared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.ndimage
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw, ImageFilter

FIELD, WOOD, ROAD = 0, 1, 2  # mask values
ROAD_WIDTH = 3  # pixels

_CROPS = np.array(  # RGB
    [(96, 120, 58), (128, 142, 74), (168, 154, 96), (136, 110, 78), (112, 132, 96), (150, 140, 84)],
    np.float32,
)
_WOOD = np.array((46, 66, 40), np.float32)
_HEDGE = np.array((62, 84, 50), np.float32)
_ROADS = np.array([(150, 148, 146), (176, 166, 150)], np.float32)  # asphalt, gravel
_BLOCK = 2  # pixels; fields and woods are laid out so coarsely


@dataclasses.dataclass
class SyntheticFieldsConfig(tfds.core.BuilderConfig):
    """Size and number of the scenes.

    Attributes:
      side: of a scene, in pixels.
      train: number of training scenes.
      test: number of test scenes.
      near_infrared: whether there is a fourth band, and 16 bits.
    """

    side: int = 2048
    train: int = 24
    test: int = 8
    near_infrared: bool = False


class SyntheticFields(tfds.core.GeneratorBasedBuilder):
    """Drawn fields, woods and narrow roads from above."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        SyntheticFieldsConfig(name="large", description="24 and 8 scenes of 2048x2048 pixels."),
        SyntheticFieldsConfig(
            name="small",
            description="16 and 4 scenes of 512x512 pixels.",
            side=512,
            train=16,
            test=4,
        ),
        SyntheticFieldsConfig(
            name="bands",
            description="24 and 8 scenes of 2048x2048 pixels, in four bands of 16 bits.",
            near_infrared=True,
        ),
        SyntheticFieldsConfig(
            name="bands_small",
            description="16 and 4 scenes of 512x512 pixels, in four bands of 16 bits.",
            side=512,
            train=16,
            test=4,
            near_infrared=True,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        near_infrared = self.builder_config.near_infrared
        picture = tfds.features.Image(
            shape=(None, None, 4 if near_infrared else 3),
            dtype=np.uint16 if near_infrared else np.uint8,
            encoding_format="png",
        )
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": picture,
                    "segmentation_mask": tfds.features.Image(
                        shape=(None, None, 1), use_colormap=True, encoding_format="png"
                    ),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "segmentation_mask"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # nothing is downloaded
        return {
            "train": self._generate_examples(0, self.builder_config.train),
            "test": self._generate_examples(1_000_000, self.builder_config.test),
        }

    def _generate_examples(self, first_seed: int, count: int) -> Iterator[tuple[str, dict]]:
        for seed in range(first_seed, first_seed + count):
            image, mask = draw_scene(seed, self.builder_config.side)
            if self.builder_config.near_infrared:
                image = with_near_infrared(seed, image, mask)
            name = f"scene_{seed:07d}"
            yield (
                name,
                {
                    "image": image,
                    "segmentation_mask": mask[..., np.newaxis],
                    "file_name": f"{name}.png",
                },
            )


def draw_scene(seed: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene with its mask.

    Args:
      seed: determines everything about the scene.
      side: height and width in pixels, even.

    Returns:
      The picture, uint8 [side, side, 3]; the mask, uint8 [side, side] of FIELD, WOOD and ROAD.
    """
    rng = np.random.default_rng(seed)
    plots, number = _plots(rng, side)
    wooded = rng.random(number) < 0.2
    wooded[0], wooded[-1] = True, False  # some of each
    colors = _CROPS[rng.integers(len(_CROPS), size=number)] + rng.normal(0, 8, (number, 3))
    picture = colors.astype(np.float32)[plots]
    _furrow(rng, picture, plots, number)
    trees = _noise(rng, side, 6)[..., np.newaxis] * 30
    wood = wooded[plots]
    picture[wood] = (_WOOD + trees)[wood]
    picture += 10 * _noise(rng, side, 64)[..., np.newaxis]

    # As narrow as roads, and between fields as they are: only the colour tells.
    hedges = _lines(rng, side, count=max(2, side // 150), width=ROAD_WIDTH)
    picture[hedges] = _HEDGE
    roads = _lines(rng, side, count=max(2, side // 200), width=ROAD_WIDTH)
    picture[roads] = _ROADS[rng.integers(len(_ROADS))]
    picture += rng.normal(0, 6, picture.shape).astype(np.float32)
    seen = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    seen = seen.filter(ImageFilter.GaussianBlur(0.6))  # the lens

    mask = np.where(wood, WOOD, FIELD).astype(np.uint8)
    mask[roads] = ROAD
    return np.asarray(seen), mask


def with_near_infrared(seed: int, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A scene as a satellite sees it, whose values are reflectances in ten thousandths.

    Leaves are bright in near infrared; soil and roads are not.

    Args:
      seed: of the scene.
      picture: uint8 [side, side, 3], from `draw_scene`.
      mask: uint8 [side, side], likewise.

    Returns:
      uint16 [side, side, 4]: red, green, blue, near infrared.
    """
    rng = np.random.default_rng([seed, 4])
    red, green, _ = np.moveaxis(picture.astype(np.float32), -1, 0)
    leaves = np.clip((green - red) / 30 + 0.5, 0, 1)
    near_infrared = 1200 + 2600 * leaves
    near_infrared[mask == WOOD] += 900
    near_infrared[mask == ROAD] = 1100
    bands = np.dstack(
        [picture.astype(np.float32) * 12, scipy.ndimage.gaussian_filter(near_infrared, 0.6)]
    )
    bands += rng.normal(0, 40, bands.shape)
    return np.clip(bands, 0, 10_000).round().astype(np.uint16)


def _plots(rng: np.random.Generator, side: int) -> tuple[np.ndarray, int]:
    """Which plot each pixel belongs to, int [side, side], and how many there are."""
    number = max(6, (side // 160) ** 2)
    centers = rng.uniform(0, side, (number, 2))
    axis = (np.arange(side // _BLOCK) + 0.5) * _BLOCK
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    nearest = np.zeros(rows.shape, int)
    least = np.full(rows.shape, np.inf)
    for plot, (row, column) in enumerate(centers):
        distance = np.abs(rows - row) + np.abs(columns - column)  # so that fields have corners
        nearest[distance < least] = plot
        np.minimum(least, distance, out=least)
    return np.kron(nearest, np.ones((_BLOCK, _BLOCK), int)), number


def _furrow(rng: np.random.Generator, picture: np.ndarray, plots: np.ndarray, number: int) -> None:
    """Lays a direction over each plot: rows of crops, and tracks of tractors."""
    side = len(picture)
    angles, periods = rng.uniform(0, np.pi, number), rng.uniform(5, 14, number)
    tracks = rng.uniform(40, 70, number)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle = angles.astype(np.float32)[plots]
    along = x * np.cos(angle) + y * np.sin(angle)
    rows = np.sin(along * 2 * np.pi / periods.astype(np.float32)[plots])
    track = along % tracks.astype(np.float32)[plots] < 2
    picture += (6 * rows - 14 * track)[..., np.newaxis]


def _noise(rng: np.random.Generator, side: int, cell: int) -> np.ndarray:
    """Smooth noise from -0.5 to 0.5, float32 [side, side]."""
    grid = rng.random((side // cell + 2, side // cell + 2), dtype=np.float32)
    layer = Image.fromarray(grid).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(layer) - 0.5


def _lines(rng: np.random.Generator, side: int, count: int, width: int) -> np.ndarray:
    """Winding lines from edge to edge: bool [side, side]."""
    layer = Image.new("1", (side, side))
    draw = ImageDraw.Draw(layer)
    for _ in range(count):
        across = np.linspace(-10, side + 10, 12)
        start, end = rng.uniform(0, side, 2)
        drift = rng.normal(0, side / 60, 12).cumsum()
        wandering = np.linspace(start, end, 12) + drift - np.linspace(0, drift[-1], 12)
        points = list(zip(across.tolist(), wandering.tolist(), strict=True))
        if rng.random() < 0.5:
            points = [(b, a) for a, b in points]
        draw.line(points, fill=1, width=width, joint="curve")
    return np.asarray(layer)
