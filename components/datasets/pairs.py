"""What all forms of data come down to: pictures, each with what tells its mask."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from components.common import file_tree, picture_formats
from components.common.errors import UserError

_MOST_NAMED = 3
MASK_ENDINGS = (".npy",)  # besides the pictures'


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Attributes:
      name: the picture's path below the folder of pictures; text.
      image: path of the picture.
      mask: path of the mask; or what its source knows it by.
      parts: further paths, where a picture has several masks.
    """

    name: str
    image: str
    mask: str
    parts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Matched:
    """What was found.

    Attributes:
      pairs: by name.
      without_mask: pictures that have none.
      without_picture: masks that have none.
      notes: what else a person should know, in words.
    """

    pairs: list[Pair]
    without_mask: list[str]
    without_picture: list[str]
    notes: list[str] = dataclasses.field(default_factory=list)


class MaskSource(Protocol):
    """What gives the pictures of a folder their masks: one class for each form of data.

    Attributes:
      names: mask value -> its class's name, as far as the form tells.
    """

    names: dict[int, str]

    def match(self) -> Matched:
        """Finds the pictures that have a mask.

        Raises:
          UserError: a folder or file is missing, or is not of this form.
        """

    def read(self, pair: Pair) -> tuple[bytes, str]:
        """A mask as a grey PNG of its values, and what is wrong with it (empty: nothing)."""

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """Paths of the masks' own files."""

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """Changes with the mask; `hash_of` gives the hash of a file."""

    def split_of(self, pair: Pair) -> str:
        """Name of the file or folder that tells the pair's split; empty: nothing tells it."""


def list_files(pattern: str, key: str, more_endings: tuple[str, ...] = ()) -> dict[str, str]:
    """All files with a picture's ending below a folder, or below those that a pattern names.

    Args:
      pattern: a folder; * stands for any part of a folder's name.
      key: the config's key, for the message.
      more_endings: that are taken too.

    Returns:
      Path below the folder, or below what comes before the first *, -> path.

    Raises:
      UserError: there is no such folder.
    """
    pattern = os.path.expanduser(pattern)
    head = fixed_part(pattern)
    folders = folders_of(pattern)
    if not folders:
        raise UserError(f"dataset.folder.{key}: there is no folder {os.path.abspath(pattern)}")
    wanted = picture_formats.endings().union(more_endings)
    result = {}
    for folder in folders:
        below = "" if folder == head else os.path.relpath(folder, head).replace(os.sep, "/") + "/"
        for name, path in file_tree.walk(folder).files.items():
            if os.path.splitext(name)[1].lower() in wanted:
                result[file_tree.readable(below) + name] = path
    return result


def folders_of(pattern: str) -> list[str]:
    """The folders that a pattern names, in order."""
    if "*" not in pattern:
        return [pattern] if os.path.isdir(pattern) else []
    escaped = "*".join(glob.escape(part) for part in pattern.split("*"))
    return sorted(path for path in glob.glob(escaped) if os.path.isdir(path))


def fixed_part(pattern: str) -> str:
    """What comes before the first folder with a * in its name."""
    if "*" not in pattern:
        return pattern
    return os.path.dirname(pattern[: pattern.index("*") + 1]) or "."


def star_parts(pattern: str, name: str) -> str:
    """What the stars of a pattern stand for in a file's path, and the folders below.

    `data/*/images` and `train/images/deep/x.png` give `train/deep/`: this is what a picture
    and its mask have in common.

    Args:
      pattern: of the folder.
      name: path below the pattern's fixed part.
    """
    tail = os.path.relpath(pattern, fixed_part(pattern)) if "*" in pattern else ""
    parts = name.split("/")[:-1]
    common = []
    for part, wanted in zip(parts, tail.split("/") if tail else (), strict=False):
        form = "(.*)".join(re.escape(one) for one in wanted.split("*"))
        if "*" in wanted and (found := re.fullmatch(form, part)):
            common.append("".join(found.groups()))
    common += parts[len(tail.split("/")) if tail else 0 :]
    return "".join(f"{part}/" for part in common)


def some(names: Sequence[str]) -> str:
    """The first few of them, for a message."""
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
