"""Masks that are files: found by the pictures' names, read as the config says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.masks.mask_values import read_mask, to_png, values_of
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import MASK_ENDINGS, Matched, Pair, list_files
from components.datasets.sources.by_name import class_of_path, named, pair_up


class MaskFiles:
    """A folder of masks, or several.

    Args:
      config: the folders, the names, and what values mean.

    Attributes:
      names: of the values, where they come from folders or suffixes.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        by_class = config.mask_parts == "classes"
        self.names = _names_of(config.labels) if by_class else {}

    def match(self) -> Matched:
        """As `MaskSource` has it."""
        return _match(self._config)

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """As `MaskSource` has it."""
        if self._config.mask_parts != "one":
            return self._read_parts((pair.mask, *pair.parts))
        return read_mask(_content(pair.mask), self._config)

    def _read_parts(self, paths: Sequence[str]) -> tuple[bytes, str]:
        """Lays masks of one thing each over one another; what is set last is on top."""
        united: np.ndarray | None = None
        for path in paths:
            label = self._config.labels.get(class_of_path(path, self._config) or "", 0)
            try:
                raw = read_raw(_content(path))
            except OSError as error:
                return b"", f"its mask {os.path.basename(path)} can't be read: {error}"
            values, problem = values_of(raw, self._config)
            if problem:
                return to_png(values), problem
            if united is None:
                united = np.zeros(values.shape, np.int64)
            if values.shape != united.shape:
                return to_png(values), f"its masks are of several sizes ({os.path.basename(path)})"
            if self._config.mask_parts == "classes":
                values = np.where(values > 0, label, 0)
            united = np.where(values > 0, values, united)
        assert united is not None
        return to_png(united), ""

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """As `MaskSource` has it."""
        return [path for pair in pairs for path in (pair.mask, *pair.parts)]

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """As `MaskSource` has it."""
        return " ".join(hash_of(path) for path in (pair.mask, *pair.parts))

    def split_of(self, pair: Pair) -> str:
        """As `MaskSource` has it."""
        del pair
        return ""


def _names_of(labels: Mapping[str, int]) -> dict[int, str]:
    """Value -> label, without what all labels begin with: of mask_road and mask_sky, road, sky."""
    common = os.path.commonprefix(list(labels)) if len(labels) > 1 else ""
    start = max((common.rfind(joint) for joint in " _.-"), default=-1) + 1
    return {value: label[start:] for label, value in labels.items()}


def _match(config: FolderConfig) -> Matched:
    """Finds the mask of each picture: by its path, or else by its name alone.

    Raises:
      UserError: there is no such folder, or names tell pictures and masks not apart.
    """
    names = config.names
    ending = names.mask_ending.lower()
    masks = {
        name: path
        for name, path in list_files(config.masks or "", "masks", MASK_ENDINGS).items()
        if name.lower().endswith(ending)
    }
    images = list_files(config.images, "images")
    many = config.mask_parts != "one"
    mask_files = named(masks, config.masks or "", names.mask_prefix, config.mask_suffix, True, many)
    if config.mask_parts == "classes":
        mask_files = [mask for mask in mask_files if class_of_path(mask.path, config)]
    # In a folder of both, the names tell them apart; else nothing beside a mask is a picture.
    shared = config.images == config.masks
    of_masks = {mask.path for mask in mask_files} if shared else set(masks.values())
    of_masks = {os.path.realpath(path) for path in of_masks}
    image_files = [
        file
        for file in named(images, config.images, names.image_prefix, names.image_suffix)
        if os.path.realpath(file.path) not in of_masks
    ]
    if images and not image_files:
        raise UserError(
            f"dataset.folder: {config.images} and {config.masks} are the same files: say in "
            "mask_suffix, names.mask_prefix or names.mask_ending which of them are masks"
        )
    found = pair_up(image_files, mask_files, config)
    if shared:
        return found
    known = {mask.name for mask in mask_files}
    others = [name for name in masks if name not in known]
    return dataclasses.replace(found, without_picture=sorted([*found.without_picture, *others]))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
