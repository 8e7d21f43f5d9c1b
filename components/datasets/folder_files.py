"""Which picture goes with which mask, and into which split."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from components.common import schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig

SPLIT_FOLDERS = {
    "train": schema.TRAIN,
    "training": schema.TRAIN,
    "validation": schema.VALIDATION,
    "valid": schema.VALIDATION,
    "val": schema.VALIDATION,
    "test": schema.TEST,
}
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Attributes:
      name: the picture's path below the folder of pictures.
      image: path of the picture.
      mask: path of the mask; or what its source knows it by.
    """

    name: str
    image: str
    mask: str


@dataclasses.dataclass(frozen=True)
class Matched:
    """What the two folders hold.

    Attributes:
      pairs: by name.
      without_mask: pictures that have none.
      without_picture: masks that have none.
    """

    pairs: list[Pair]
    without_mask: list[str]
    without_picture: list[str]


def match(config: FolderConfig) -> Matched:
    """Finds the mask of each picture: by its path, or else by its name alone.

    Raises:
      UserError: there is no such folder.
    """
    images = files(os.path.expanduser(config.images), "images")
    masks = files(os.path.expanduser(config.masks or ""), "masks")
    suffix = config.mask_suffix
    by_path = {
        stem.removesuffix(suffix): path for path in masks if (stem := _stem(path)).endswith(suffix)
    }
    by_name: dict[str, list[str]] = {}
    for stem, path in by_path.items():
        by_name.setdefault(os.path.basename(stem), []).append(path)
    pictures_named = Counter(os.path.basename(_stem(path)) for path in images)
    pairs, without = [], []
    for path in images:
        stem = _stem(path)
        mask = by_path.get(stem)
        alone = by_name.get(os.path.basename(stem), [])
        if mask is None and len(alone) == 1 and pictures_named[os.path.basename(stem)] == 1:
            (mask,) = alone
        if mask is None:
            without.append(path)
        else:
            pairs.append(Pair(path, images[path], masks[mask]))
    taken = {pair.mask for pair in pairs}
    return Matched(pairs, without, [path for path in masks if masks[path] not in taken])


def split(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    """Split -> its pairs, as the config says.

    Raises:
      UserError: a picture is in no split's folder, or a list names what isn't there.
    """
    result: dict[str, list[Pair]] = {name: [] for name in schema.SPLITS}
    if config.split_by == "lists":
        return _split_by_lists(pairs, config)
    for pair in pairs:
        name: str | None
        if config.split_by == "hash":
            name = _split_of_hash(_stem(pair.name), config.validation, config.test)
        else:
            folder = pair.name.split("/")[0]
            name = SPLIT_FOLDERS.get(folder)
            if name is None:
                raise UserError(
                    f"dataset.folder: {pair.name} is in none of the folders train, validation "
                    "(or val) and test; move it, or split by hash"
                )
        result[name].append(pair)
    return result


def _split_of_hash(stem: str, validation: float, test: float) -> str:
    at = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big") / 2**64
    if at < test:
        return schema.TEST
    return schema.VALIDATION if at < test + validation else schema.TRAIN


def _split_by_lists(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    known = {key: pair for pair in pairs for key in (pair.name, _stem(pair.name))}
    result: dict[str, list[Pair]] = {}
    taken: dict[str, str] = {}
    for name, path in config.lists.items():
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                lines = [line.strip() for line in file if line.strip()]
        except OSError as error:
            raise UserError(f"dataset.folder.lists: {path}: {error.strerror}") from error
        missing = [line for line in lines if line not in known]
        if missing:
            raise UserError(
                f"dataset.folder.lists: {path} names {len(missing)} pictures that are not in "
                f"{config.images}, or have no mask: {some(missing)}"
            )
        result[name] = [known[line] for line in lines]
        for pair in result[name]:
            if pair.name in taken:
                raise UserError(
                    f"dataset.folder.lists: {pair.name} is in {taken[pair.name]} and in {path}"
                )
            taken[pair.name] = path
    return result


def files(folder: str, key: str) -> dict[str, str]:
    """Path below the folder (with /) -> path, of all files with a picture's ending."""
    if not os.path.isdir(folder):
        raise UserError(f"dataset.folder.{key}: there is no folder {os.path.abspath(folder)}")
    endings = Image.registered_extensions()
    result = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings:
                path = os.path.join(parent, name)
                result[os.path.relpath(path, folder).replace(os.sep, "/")] = path
    return result


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def some(names: Sequence[str]) -> str:
    """The first few of them, for a message."""
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
