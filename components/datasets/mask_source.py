"""Where masks come from: files, or COCO annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from components.datasets.coco import CocoMasks
from components.datasets.config import FolderConfig
from components.datasets.folder_files import Matched, Pair, match
from components.datasets.folder_pictures import read_mask


class MaskSource(Protocol):
    """What gives the pictures of a folder their masks."""

    def match(self) -> Matched:
        """Finds the pictures that have a mask."""

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """A mask as a grey PNG of its values, and what is wrong with it (empty: nothing)."""

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """Paths of the masks' own files."""

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """Changes with the mask; `hash_of` gives the hash of a file."""


class MaskFiles:
    """A folder of masks.

    Args:
      config: the folders, and what colours mean.
    """

    def __init__(self, config: FolderConfig) -> None:
        self._config = config

    def match(self) -> Matched:
        """As `MaskSource` has it."""
        return match(self._config)

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """As `MaskSource` has it."""
        with open(pair.mask, "rb") as file:
            return read_mask(file.read(), self._config.colors)

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """As `MaskSource` has it."""
        return [pair.mask for pair in pairs]

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """As `MaskSource` has it."""
        return hash_of(pair.mask)


def mask_source(config: FolderConfig) -> MaskSource:
    """The source that a config names."""
    return CocoMasks(config) if config.annotations else MaskFiles(config)
