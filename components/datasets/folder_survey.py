"""What is in two folders of pictures and masks: looked at before a config is written."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from components.common import pictures
from components.common.errors import UserError
from components.datasets import folder_files, folder_pictures
from components.datasets.coco import CocoMasks
from components.datasets.config import FolderConfig
from components.datasets.mask_source import MaskFiles, MaskSource, mask_source

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos", "pictures", "jpegimages")
_MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "segmentation", "segmentations"),
    *("segmentationclass", "gt", "trimaps"),
)
_MOST_COLORS = 256


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
      config: folders, suffix, colours and splits as they were found to be.
      matched: pictures with their masks, and what has no partner.
      splits: split -> number of pairs; empty where the pictures can't be split so.
      heights: of the pictures, in pixels.
      widths: of the pictures, in pixels.
      pixels: mask value -> number of its pixels in all masks.
      unreadable: files that can't be decoded, or whose mask has another size.
      names: mask value -> name, as far as the data tells.
    """

    config: FolderConfig
    matched: folder_files.Matched
    splits: dict[str, int]
    heights: list[int]
    widths: list[int]
    pixels: dict[int, int]
    unreadable: list[str]
    names: dict[int, str]


def survey(images: str, masks: str | None, annotations: Sequence[str] = ()) -> Survey:
    """Looks at all files of two folders, or of one and its annotations.

    Args:
      images: folder of the pictures.
      masks: folder of the masks; None: there are annotations.
      annotations: COCO files.

    Raises:
      UserError: there is no such folder, no picture has a mask, or the masks can't be
        masks (they have more colours than any class table).
    """
    config = FolderConfig(images=images, masks=masks, annotations=tuple(annotations))
    if masks:
        config = config.model_copy(update={"mask_suffix": find_suffix(config)})
    source = mask_source(config)
    matched = source.match()
    if not matched.pairs:
        there = f"of the same name in {masks}" if masks else f"in {', '.join(annotations)}"
        raise UserError(f"no picture in {images} has a mask {there}")
    tops = {pair.name.split("/")[0] for pair in matched.pairs if "/" in pair.name}
    nested = all("/" in pair.name for pair in matched.pairs)
    if nested and tops <= set(folder_files.SPLIT_FOLDERS):
        config = config.model_copy(update={"split_by": "folders"})
    pixels, heights, widths, unreadable = _look(source, matched.pairs)
    if pixels is None:
        colors = _look_for_colors(pair for pair in matched.pairs if pair.image not in unreadable)
        by_share = [color for color, _ in colors.most_common()]
        config = config.model_copy(update={"colors": dict(enumerate(by_share))})
        pixels = Counter({value: colors[color] for value, color in enumerate(by_share)})
    splits = folder_files.split(matched.pairs, config)
    return Survey(
        config,
        matched,
        {name: len(pairs) for name, pairs in splits.items()},
        heights,
        widths,
        dict(sorted(pixels.items())),
        unreadable,
        {number: name for name, number in source.categories.items()}
        if isinstance(source, CocoMasks)
        else {},
    )


def find_folder(root: str, option: str) -> str:
    """The folder of pictures (`--images`) or masks (`--masks`) below one, by its usual names.

    Raises:
      UserError: it can't be found.
    """
    if not os.path.isdir(root):
        raise UserError(f"there is no folder {root}")
    there = {
        name.lower(): name
        for name in sorted(os.listdir(root))
        if os.path.isdir(os.path.join(root, name))
    }
    names = _IMAGE_FOLDERS if option == "--images" else _MASK_FOLDERS
    name = next((there[name] for name in names if name in there), None)
    if name is None:
        raise UserError(
            f"{root} has no folder called {', '.join(names[:4])} or the like: name it with {option}"
        )
    return os.path.join(root, name)


def find_annotations(folder: str) -> list[str]:
    """The JSON files of a folder that holds no masks."""
    if folder_files.files(folder, "masks"):
        return []
    names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    return [os.path.join(folder, name) for name in names]


def find_suffix(config: FolderConfig) -> str:
    """What most masks' names have more than their pictures', such as `_mask`."""
    images, masks = (
        [os.path.basename(os.path.splitext(name)[0]) for name in folder_files.files(folder, key)]
        for key, folder in (("images", config.images), ("masks", config.masks or ""))
    )
    stems = set(images)
    suffixes: Counter[str] = Counter()
    for mask in masks:
        # The longest beginning that is a picture's name.
        for end in range(len(mask), 0, -1):
            if mask[:end] in stems:
                suffixes[mask[end:]] += 1
                break
    return suffixes.most_common(1)[0][0] if suffixes else ""


def _look(
    source: MaskSource,
    pairs: Iterable[folder_files.Pair],
) -> tuple[Counter[int] | None, list[int], list[int], list[str]]:
    """Pixels by value (None: the masks are coloured), heights, widths, unreadable files."""
    pixels: Counter[int] = Counter()
    heights, widths, unreadable = [], [], []
    coloured = False
    masks_are_files = isinstance(source, MaskFiles)
    for pair in pairs:
        mask, problem = source.read(pair)
        values = _pixels(mask)
        if values is None or (problem and not masks_are_files):
            unreadable.append(pair.mask if masks_are_files else pair.image)
            continue
        height, width = values.shape[:2]
        image = _pixels(folder_pictures.read_image(_read(pair.image), (width, height)))
        if image is None or image.shape[:2] != (height, width):
            unreadable.append(pair.image)
            continue
        heights.append(image.shape[0])
        widths.append(image.shape[1])
        coloured = coloured or bool(problem)
        if not coloured:
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                pixels[int(value)] += int(count)
    return None if coloured else pixels, heights, widths, unreadable


def _look_for_colors(
    pairs: Iterable[folder_files.Pair],
) -> Counter[tuple[int, int, int]]:
    colors: Counter[tuple[int, int, int]] = Counter()
    for pair in pairs:
        try:
            with pictures.opened(_read(pair.mask)) as image:
                channels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        except OSError:
            continue  # it is among the unreadable ones already
        found, counts = np.unique(channels, axis=0, return_counts=True)
        for (red, green, blue), count in zip(found.tolist(), counts.tolist(), strict=True):
            colors[red, green, blue] += count
        if len(colors) > _MOST_COLORS:
            raise UserError(
                f"{pair.mask}: the masks have more than {_MOST_COLORS} colours. Masks must be "
                "saved without loss (PNG, not JPEG) and without smooth edges."
            )
    return colors


def _pixels(content: bytes) -> np.ndarray | None:
    """A decoded picture; None: it can't be decoded."""
    try:
        with pictures.opened(content) as image:
            return np.asarray(image)
    except OSError:
        return None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
