"""A pipeline's folder belongs to one config: another of its name would replace its models."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from components.common.errors import UserError

_FILE = "config-path"


def claim(folder: str, config: Path) -> None:
    """Puts down whose folder it is.

    Args:
      folder: the pipeline's.
      config: the config of this run.

    Raises:
      UserError: it is another config's, which is still there and still has this name.
    """
    path = os.path.join(folder, _FILE)
    own = str(config.resolve())
    try:
        with open(path, encoding="utf-8") as file:
            other = file.read().strip()
    except OSError:
        other = ""
    if other == own:
        return
    if other and _name_of(other) == _name_of(own):
        raise UserError(
            f"{own} and {other} are two configs of the name {_name_of(own)!r}: this run would "
            f"replace the other's models in {folder}. Give one of them another name; or, where it "
            f"is a copy that takes the other's place, remove {path}"
        )
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{own}\n")


def _name_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8-sig") as file:
            values = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return values.get("name") if isinstance(values, dict) else None
