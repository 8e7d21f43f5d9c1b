"""Which picture falls into which split."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from components.common import file_tree, schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import MaskSource, Pair
from components.datasets.splits import split_lists
from components.datasets.splits.split_words import split_word


def split_of_path(name: str) -> str | None:
    """The split that a picture's folders speak of; the innermost decides."""
    for folder in reversed(name.split("/")[:-1]):
        if found := split_word(folder):
            return found
    return None


def split_of_name(name: str) -> str | None:
    """The split that a picture's own name speaks of, as its first or last word: test_03.png."""
    words = re.findall(r"[^\W_]+", os.path.splitext(os.path.basename(name))[0])
    found = {split_word(word) for word in (*words[:1], *words[-1:])} - {None}
    return found.pop() if len(found) == 1 else None


def split(
    pairs: Sequence[Pair], config: FolderConfig, source: MaskSource | None = None
) -> dict[str, list[Pair]]:
    """Split -> its pairs, as the config says.

    Raises:
      UserError: a list names what isn't there, or nothing tells a picture's split.
    """
    if config.split_by == "lists":
        result = split_lists.split(pairs, config)
    elif config.split_by == "names":
        result = {name: [] for name in schema.SPLITS}
        for pair in pairs:
            result[split_of_name(pair.name) or schema.TRAIN].append(pair)
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
        there = len(result[borrowed.split])
        wanted = max(1, min(round(borrowed.share * there), there - 1))  # one stays at least
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
