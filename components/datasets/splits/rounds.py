"""Which round of labelling each picture has come in."""

from __future__ import annotations

from collections.abc import Sequence

from components.common import schema
from components.common.errors import UserError
from components.datasets.config import FolderConfig
from components.datasets.pairs import Pair, some
from components.datasets.splits.split_lists import listed_only


def rounds_of(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, str]:
    """Picture's name -> its round; empty where the config names no rounds.

    Raises:
      UserError: a list can't be read, names what is not there, or a picture of another round.
    """
    found: dict[str, str] = {}
    for name, path in config.rounds.items():
        own, missing = listed_only(pairs, [(None, path)], "rounds")
        if missing:
            raise UserError(
                f"dataset.folder.rounds: {path} names {len(missing)} pictures that are not in "
                f"{config.images}, or have no mask: {some(missing)}"
            )
        for pair in own:
            if pair.name in found:
                raise UserError(
                    f"dataset.folder.rounds: {pair.name} is of {found[pair.name]} and of {name}; "
                    "a picture comes in one round"
                )
            found[pair.name] = name
    if not config.rounds:
        return {}
    return {pair.name: found.get(pair.name, schema.FIRST_ROUND) for pair in pairs}
