"""Which round of labelling each picture has come in."""

from __future__ import annotations

import os
from collections.abc import Sequence

from components.common import file_tree, schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import Pair, fixed_part
from components.datasets.splits.split_lists import named_by


def rounds_of(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, str]:
    """Picture's name -> its round; empty where the config names no rounds.

    Of several pictures of one name the list means the one below its own folder.

    Raises:
      UserError: a list can't be read, names what is not there or what may be several pictures, or
        a picture of another round.
    """
    found: dict[str, str] = {}
    for name, path in config.rounds.items():
        own = named_by(pairs, path, "rounds", _folder_of(path, config.images))
        own.check(f"dataset.folder.rounds: {path}", config.images)
        for pair in own.pairs:
            if found.get(pair.name, name) != name:
                raise UserError(
                    f"dataset.folder.rounds: {pair.name} is of {found[pair.name]} and of {name}; "
                    "a picture comes in one round"
                )
            found[pair.name] = name
    if not config.rounds:
        return {}
    return {pair.name: found.get(pair.name, schema.FIRST_ROUND) for pair in pairs}


def _folder_of(path: str, images: str) -> str | None:
    """A list's folder, below that of the pictures; None: it is that one, or elsewhere."""
    own, head = (
        os.path.abspath(os.path.expanduser(one))
        for one in (os.path.dirname(path), fixed_part(images))
    )
    below = os.path.relpath(own, head).replace(os.sep, "/")
    return None if below == "." or below.split("/")[0] == ".." else file_tree.composed(below)
