"""Where the versions lie that were pushed.

```
<serving>/<version>/          in plain sight: the newest is the stable one
<serving>/rollout/<version>/  what a server by labels loads: stable, canary, and the one before
<serving>/aside/<version>/    neither: a withdrawn version, a canary that was followed by another
<serving>/rollout.json, models.config, inference-service.yaml
```
"""

from __future__ import annotations

import os

SIGHT, LABELLED, ASIDE = "", "rollout", "aside"
PLACES = (SIGHT, LABELLED, ASIDE)


def shown(folder: str) -> list[str]:
    """The versions in plain sight of a serving folder, oldest first."""
    return versions(folder)


def known_versions(folder: str) -> list[str]:
    """All versions that are there, in sight or not, oldest first."""
    found = {one for place in PLACES for one in versions(os.path.join(folder, place))}
    return sorted(found, key=int)


def versions(folder: str) -> list[str]:
    """The versions right below a folder, oldest first."""
    return sorted((name for name in _names(folder) if name.isdigit()), key=int)


def find(folder: str, version: str) -> str | None:
    """Where a version of a serving folder lies; None: it is gone."""
    for place in PLACES:
        if version in _names(os.path.join(folder, place)):
            return os.path.join(folder, place, version)
    return None


def served_folder(path: str) -> str:
    """`<serving>/<version>`, wherever below the serving folder a version lies."""
    parent, version = os.path.split(path.rstrip("/"))
    above, place = os.path.split(parent)
    return os.path.join(above, version) if place in (LABELLED, ASIDE) else path


def _names(folder: str) -> list[str]:
    if "://" in folder:
        import tensorflow as tf  # only here: lineage asks too, and has to answer at once

        names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
        return [name.rstrip("/") for name in names]
    return os.listdir(folder) if os.path.isdir(folder) else []
