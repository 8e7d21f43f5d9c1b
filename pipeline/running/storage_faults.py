"""Disks that are full, folders that can't be written, stores that are locked: in one line each.

Beam and TFX give what went wrong below them as text in other exceptions, so it is the text
that is looked at.
"""

from __future__ import annotations

import os
import re

_KINDS = (
    (
        ("No space left on device", "database or disk is full"),
        "the disk is full{where}. Make room (`segline gc` tells what old runs hold), and give "
        "the same command again.",
    ),
    (
        ("Read-only file system", "readonly database"),
        "nothing can be written{where}: it is read-only. Mount it writable, or choose another "
        "folder with run.root (SEGLINE__RUN__ROOT).",
    ),
    (
        ("Permission denied",),
        "this user may not write{where}. Give it the right, or choose another folder with "
        "run.root (SEGLINE__RUN__ROOT).",
    ),
    (
        ("database is locked", "Concurrent writes aborted"),
        "ML Metadata is locked: another process holds {store} and does not let go. "
        "End that process (`fuser {store}` names it), and give the same command again.",
    ),
    (
        ("Record has changed since last read",),
        "ML Metadata's MariaDB has refused a read beside another step's write: its setting "
        "innodb_snapshot_isolation, on by default since 11.6.2, is one that ML Metadata's client "
        "is not made for. Start the server with --innodb-snapshot-isolation=OFF, and give the same "
        "command again.",
    ),
    (
        (
            "file is not a database",
            "database disk image is malformed",
            "unable to open database file",
        ),
        "ML Metadata can't be read: {store} is damaged, or no database. Put its backup back; "
        "without one, move it away: the next run starts a new one and does all steps again.",
    ),
)
_PATH = re.compile(r"(/[^\s:;'\"]+)(?=['\"]?[;:]? (?:No space|Read-only|Permission))|: '([^']+)'")


def explain(error: BaseException, store: str = "its store") -> str | None:
    """What the user can do where storage has failed.

    Args:
      error: any exception; those behind it are looked at too.
      store: where ML Metadata is, for the message.

    Returns:
      The message; None where it is something else.
    """
    for text in _texts(error):
        if "readonly database" in text and os.path.isabs(store) and not os.path.exists(store):
            return (
                f"ML Metadata has gone away while the run was under way: there is no {store} any "
                "more. Put its backup back, and give the same command again."
            )
        for marks, message in _KINDS:
            if any(mark in text for mark in marks):
                found = _PATH.search(text)
                path = next(filter(None, found.groups()), "") if found else ""
                return message.format(where=f" ({path})" if path else "", store=store)
    return None


def _texts(error: BaseException | None) -> list[str]:
    texts: list[str] = []
    while error is not None and len(texts) < 50:  # chains of exceptions can be circles
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return texts
