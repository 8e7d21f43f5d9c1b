"""Which picture falls into which split."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from components.common import file_tree, schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import MaskSource, Pair, some

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), schema.TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "validate"), schema.VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), schema.TEST),
}
# nnU-Net's folders.
_GLUED = (
    *("annot", "annots", "annotations", "mask", "masks", "label", "labels", "image", "images"),
    *("img", "imgs", "set", "data", "gt"),
)
_WHOLE_WORDS = {"imagestr": schema.TRAIN, "imagests": schema.TEST}


def split_word(name: str) -> str | None:
    """The split that a folder's or file's name speaks of: train2017, Test, val_images, …

    Returns:
      A split's name; None where it names none, or several.
    """
    lower = name.lower()
    if lower in _WHOLE_WORDS:
        return _WHOLE_WORDS[lower]
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    # CamVid's trainannot, and trainset, testimages.
    words += [word.removesuffix(end) for word in words for end in _GLUED if word.endswith(end)]
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def split_of_path(name: str) -> str | None:
    """The split that a picture's folders speak of; the innermost decides."""
    for folder in reversed(name.split("/")[:-1]):
        if found := split_word(folder):
            return found
    return None


def split(
    pairs: Sequence[Pair], config: FolderConfig, source: MaskSource | None = None
) -> dict[str, list[Pair]]:
    """Split -> its pairs, as the config says.

    Raises:
      UserError: a list names what isn't there, or nothing tells a picture's split.
    """
    if config.split_by == "lists":
        result = _split_by_lists(pairs, config)
    elif config.split_by == "hash":
        result = _split_by_hash(pairs, config.validation, config.test)
    else:
        result = {name: [] for name in schema.SPLITS}
        for pair in pairs:
            told = (
                split_word(source.split_of(pair))
                if config.split_by == "annotations" and source
                else split_of_path(pair.name)
            )
            result[told or schema.TRAIN].append(pair)
    for name, borrowed in config.borrow.items():
        if result[name]:
            raise UserError(
                f"dataset.folder.borrow: the data has {len(result[name])} pictures of the split "
                f"{name} now; take `{name}` out of borrow"
            )
        wanted = max(1, round(borrowed.share * len(result[borrowed.split])))
        given = sorted(result[borrowed.split], key=lambda pair: _place_of(pair.name))[:wanted]
        taken = {pair.name for pair in given}
        result[name] = [pair for pair in result[borrowed.split] if pair.name in taken]
        result[borrowed.split] = [p for p in result[borrowed.split] if p.name not in taken]
    return result


def _place_of(name: str) -> float:
    """0 to 1: where a picture's name lies; it stays there when others come."""
    stem = os.path.splitext(file_tree.composed(name))[0]
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big") / 2**64


def _split_by_hash(pairs: Sequence[Pair], validation: float, test: float) -> dict[str, list[Pair]]:
    """Test below one threshold, validation below the next; one picture each at least."""
    places = {pair.name: _place_of(pair.name) for pair in pairs}
    order = sorted(places, key=lambda name: places[name])
    of = {
        name: schema.TEST
        if places[name] < test
        else schema.VALIDATION
        if places[name] < test + validation
        else schema.TRAIN
        for name in order
    }
    if len(order) >= len(schema.SPLITS):
        for name, share in ((schema.TEST, test), (schema.VALIDATION, validation)):
            if share and name not in of.values():
                first = next(one for one in order if of[one] == schema.TRAIN)
                of[first] = name
        if schema.TRAIN not in of.values():
            of[order[-1]] = schema.TRAIN
    result: dict[str, list[Pair]] = {name: [] for name in schema.SPLITS}
    for pair in pairs:
        result[of[pair.name]].append(pair)
    return result


def _split_by_lists(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    known = _Known(pairs)
    result: dict[str, list[Pair]] = {name: [] for name in schema.SPLITS}
    taken: dict[str, str] = {}
    for name, path in config.lists.items():
        missing = []
        for line in read_list(path):
            pair = known.find(line)
            if pair is None:
                missing.append(line)
            elif taken.get(pair.name, path) != path:
                raise UserError(
                    f"dataset.folder.lists: {pair.name} is in {taken[pair.name]} and in {path}"
                )
            elif pair.name not in taken:
                taken[pair.name] = path
                result[name].append(pair)
        if missing:
            raise UserError(
                f"dataset.folder.lists: {path} names {len(missing)} pictures that are not in "
                f"{config.images}, or have no mask: {some(missing)}"
            )
    return result


def read_list(path: str) -> list[str]:
    """The lines of a list of pictures, without comments.

    Raises:
      UserError: there is no such file, or it is no text.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            text = file_tree.decoded(file.read())
    except OSError as error:
        raise UserError(f"dataset.folder.lists: {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"dataset.folder.lists: {path} is no text in UTF-8") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class _Known:
    """Finds a picture by what a list calls it."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._by_end: dict[str, list[Pair]] = {}
        for pair in pairs:
            whole = file_tree.composed(pair.name)
            for name in (whole, os.path.splitext(whole)[0]):
                parts = name.split("/")
                for start in range(len(parts)):
                    self._by_end.setdefault("/".join(parts[start:]), []).append(pair)

    def find(self, line: str) -> Pair | None:
        """The picture that a line means: by its path, its end, or its first column."""
        columns = [line, *re.split(r"[\t,;]|\s+", line)[:1]]
        for text in columns:
            parts = [
                part
                for part in file_tree.composed(text.strip("\"'")).replace("\\", "/").split("/")
                if part not in ("", ".", "..")
            ]
            # A list may begin anywhere above the pictures' folder, or at the disk's root.
            for start in range(len(parts)):
                wanted = "/".join(parts[start:])
                found = self._by_end.get(wanted, [])
                whole = [p for p in found if wanted in (p.name, os.path.splitext(p.name)[0])]
                if len(whole) == 1:
                    return whole[0]
                if len(found) == 1:
                    return found[0]
        return None


def listed_only(pairs: Sequence[Pair], lists: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """The pairs that lists name, and what they name that is not there."""
    known = _Known(pairs)
    found, missing = set(), []
    for path in lists:
        for line in read_list(path):
            pair = known.find(line)
            if pair:
                found.add(pair.name)
            else:
                missing.append(line)
    return [pair for pair in pairs if pair.name in found], missing
