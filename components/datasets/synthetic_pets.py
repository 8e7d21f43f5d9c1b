"""`synthetic_pets`: drawn animals with trimaps, in the form of Oxford-IIIT Pet.

It needs no download, so the quickstart and the tests run anywhere. Every picture
is drawn from its own seed: the dataset's version alone determines its pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw, ImageFilter

PET, BACKGROUND, BORDER = 1, 2, 3  # raw mask values, as in Oxford-IIIT Pet
SPECIES = ("cat", "dog")

_SUPERSAMPLING = 2  # shapes are drawn larger, so that their edges are smooth


class SyntheticPets(tfds.core.GeneratorBasedBuilder):
    """Drawn cats and dogs over cluttered backgrounds, with a border band."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "480 training and 120 test pictures."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "segmentation_mask": tfds.features.Image(
                        shape=(None, None, 1), use_colormap=True, encoding_format="png"
                    ),
                    "species": tfds.features.ClassLabel(names=SPECIES),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "segmentation_mask"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # nothing is downloaded
        return {
            "train": self._generate_examples(first_seed=0, count=480),
            "test": self._generate_examples(first_seed=1_000_000, count=120),
        }

    def _generate_examples(self, first_seed: int, count: int) -> Iterator[tuple[str, dict]]:
        for seed in range(first_seed, first_seed + count):
            image, mask, species = draw_pet(seed)
            name = f"{species}_{seed:07d}"
            yield (
                name,
                {
                    "image": image,
                    "segmentation_mask": mask[..., np.newaxis],
                    "species": species,
                    "file_name": f"{name}.jpg",
                },
            )


def draw_pet(seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Draws one picture with its trimap.

    Args:
      seed: determines everything about the picture.

    Returns:
      The picture, uint8 [height, width, 3] with sides of 120 to 400 pixels; the
      mask, uint8 [height, width] of PET, BACKGROUND and BORDER; the species.
    """
    rng = np.random.default_rng(seed)
    width = int(rng.integers(120, 401))
    height = int(np.clip(width * rng.uniform(0.6, 1.5), 120, 400))
    species = SPECIES[int(rng.integers(len(SPECIES)))]

    background = _texture(rng, (height, width), _color(rng), contrast=rng.uniform(20, 60))
    background = _add_clutter(rng, background)
    silhouette = _draw_silhouette(rng, (height, width), species)
    fur = _texture(rng, (height, width), _color(rng), contrast=rng.uniform(15, 45))
    fur = _add_coat_pattern(rng, fur)

    alpha = np.asarray(silhouette, np.float32)[..., np.newaxis] / 255
    # Light from above rounds the body a little, as in a photograph.
    light = np.linspace(1.15, 0.8, height, dtype=np.float32)[:, np.newaxis, np.newaxis]
    picture = alpha * fur * light + (1 - alpha) * background
    picture += rng.normal(0, rng.uniform(2, 6), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), _trimap(silhouette), species


def _color(rng: np.random.Generator) -> np.ndarray:
    """A muted colour, float32 [3] in 0..255, from one range for fur and backgrounds."""
    grey = rng.uniform(40, 215)
    return np.clip(grey + rng.normal(0, 32, 3), 10, 245).astype(np.float32)


def _texture(
    rng: np.random.Generator,
    size: tuple[int, int],
    color: np.ndarray,
    contrast: float,
    cells: tuple[int, ...] = (64, 20, 6),
) -> np.ndarray:
    """Noise of several octaves (`cells` in pixels) around a colour, float32 [height, width, 3]."""
    height, width = size
    noise = np.zeros((height, width), np.float32)
    for cell in cells:
        grid = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR)
        noise += (np.asarray(layer) - 0.5) * rng.uniform(0.3, 1.0)
    tint = rng.uniform(0.7, 1.3, 3).astype(np.float32)
    return color + contrast * noise[..., np.newaxis] * tint


def _add_clutter(rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """Lays things that are no animals over the background: boxes, balls, boards, sticks."""
    height, width = background.shape[:2]
    for _ in range(int(rng.integers(3, 10))):
        layer = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(layer)
        center = rng.uniform(0, 1, 2) * (width, height)
        extent = rng.uniform(0.04, 0.25, 2) * min(width, height)
        box = [tuple(center - extent), tuple(center + extent)]
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse(box, fill=255)
        elif kind == 1:
            draw.rectangle(box, fill=255)
        elif kind == 2:
            corners = center + rng.uniform(-1, 1, (4, 2)) * extent * 1.5
            draw.polygon([tuple(corner) for corner in corners], fill=255)
        else:
            end = rng.uniform(0, 1, 2) * (width, height)
            draw.line([tuple(center), tuple(end)], fill=255, width=int(rng.integers(3, 12)))
        drawn = layer.getbbox()
        if drawn is None:  # it fell outside the picture
            continue
        left, top, right, bottom = drawn
        inside = np.asarray(layer)[top:bottom, left:right] > 0
        size, color = (bottom - top, right - left), _color(rng)
        thing = _texture(rng, size, color, contrast=rng.uniform(5, 30), cells=(12,))
        background[top:bottom, left:right][inside] = thing[inside]
    return background


def _add_coat_pattern(rng: np.random.Generator, fur: np.ndarray) -> np.ndarray:
    """Plain, striped, or spotted fur."""
    height, width = fur.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        return fur
    strength = rng.uniform(20, 50)
    if kind == 1:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.04, 0.1) * min(height, width)
        phase = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period
        pattern = np.sin(phase + 2 * np.sin(y / (2 * period)))
    else:
        cell = int(rng.integers(10, 30))
        grid = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
        smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        pattern = np.where(np.asarray(smooth) > 0.62, 1.0, 0.0)
    return fur - strength * pattern[..., np.newaxis].astype(np.float32)


def _draw_silhouette(rng: np.random.Generator, size: tuple[int, int], species: str) -> Image.Image:
    """The animal's outline, an anti-aliased L image (255 inside)."""
    height, width = size
    scale = _SUPERSAMPLING
    canvas = Image.new("L", (width * scale, height * scale), 0)
    draw = ImageDraw.Draw(canvas)
    unit = rng.uniform(0.75, 1.25) * min(width, height) * scale  # the animal's length
    origin = np.array(
        [rng.uniform(0.42, 0.58) * width * scale, rng.uniform(0.45, 0.6) * height * scale]
    )
    side = 1 if rng.random() < 0.5 else -1  # which way it looks

    def at(x: float, y: float) -> tuple[float, float]:
        return origin[0] + side * x * unit, origin[1] + y * unit

    def ellipse(x: float, y: float, rx: float, ry: float) -> None:
        (cx, cy), rx, ry = at(x, y), rx * unit, ry * unit
        draw.ellipse([cx - rx, cy - ry, cx + rx, cy + ry], fill=255)

    def limb(points: list[tuple[float, float]], thickness: float) -> None:
        line = [at(x, y) for x, y in points]
        draw.line(line, fill=255, width=max(3, int(thickness * unit)), joint="curve")
        radius = thickness * unit / 2
        for x, y in line:
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)

    dog = species == "dog"
    body = rng.uniform(0.17, 0.22) if dog else rng.uniform(0.16, 0.22)
    ellipse(0, 0, rng.uniform(0.27, 0.32), body)
    leg = rng.uniform(0.24, 0.32) if dog else rng.uniform(0.18, 0.26)
    for x in (-0.22, -0.14, 0.13, 0.21):
        limb([(x, 0.05), (x + rng.uniform(-0.05, 0.05), 0.08 + leg)], 0.1)
    head_x, head_y = rng.uniform(0.3, 0.36), rng.uniform(-0.24, -0.14)
    head = rng.uniform(0.14, 0.18)
    limb([(0.18, -0.04), (head_x, head_y)], 0.15)
    ellipse(head_x, head_y, head * 1.08, head)
    if dog:  # a snout, hanging ears, a short raised tail
        ellipse(head_x + 0.12, head_y + 0.04, 0.1, 0.055)
        ellipse(head_x - 0.08, head_y + 0.03, 0.045, rng.uniform(0.1, 0.13))
        limb([(-0.27, -0.05), (-0.4, rng.uniform(-0.3, -0.12))], 0.075)
    else:  # pointed ears, a long curved tail
        for x in (-0.07, 0.07):
            tip = at(head_x + 1.25 * x, head_y - head - rng.uniform(0.07, 0.1))
            left, right = (at(head_x + x + reach, head_y - 0.06) for reach in (-0.055, 0.055))
            draw.polygon([left, tip, right], fill=255)
        bend = rng.uniform(-0.3, 0.1)
        limb([(-0.26, -0.02), (-0.4, bend / 2), (-0.44, bend), (-0.38, bend - 0.12)], 0.07)

    canvas = canvas.rotate(rng.uniform(-14, 14), center=tuple(origin))
    return canvas.resize((width, height), Image.Resampling.BOX)


def _trimap(silhouette: Image.Image) -> np.ndarray:
    """Raw mask values with a band along the outline, uint8 [height, width]."""
    inside = silhouette.point(lambda value: 255 if value >= 128 else 0)
    # A band of some 5 % of the shorter side, about as broad as Oxford-IIIT Pet's.
    reach = max(3, round(min(silhouette.size) * 0.024))
    nearness = np.asarray(inside.filter(ImageFilter.GaussianBlur(reach / 1.5)))
    mask = np.full(nearness.shape, BORDER, np.uint8)
    mask[nearness <= 255 * 0.067] = BACKGROUND  # 1.5 standard deviations away
    mask[nearness >= 255 * 0.933] = PET
    return mask
