"""The files below a folder, as people have folders: links, hidden copies, names of any bytes."""

from __future__ import annotations

import dataclasses
import os
import unicodedata

# What tools leave beside the data: copies and thumbnails, never the data itself.
_TOOLS_FOLDERS = ("__macosx", "__pycache__", "lost+found", "@eadir", "$recycle.bin")


@dataclasses.dataclass(frozen=True)
class Tree:
    """What lies below a folder.

    Attributes:
      files: path below the folder (with /, as text) -> path, in order.
      dead_links: links to what isn't there.
    """

    files: dict[str, str]
    dead_links: list[str]


def walk(folder: str, without: str | None = None) -> Tree:
    """Looks for files at any depth; links are followed, but none in a circle.

    Hidden files and folders are passed over (`.ipynb_checkpoints`, `._a.png`), and what
    tools leave behind (`__MACOSX`).

    Args:
      folder: where to begin.
      without: a folder that is passed over.
    """
    passed = os.path.realpath(without) if without else None
    result = Tree({}, [])
    _walk(folder, "", {os.path.realpath(folder)}, passed, result)
    return result


def _walk(folder: str, below: str, above: set[str], passed: str | None, result: Tree) -> None:
    folders = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name.lower() in _TOOLS_FOLDERS:
                continue
            name = f"{below}{readable(entry.name)}"
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in above and real != passed:
                    folders.append((entry.path, name, real))
            elif entry.is_file():
                result.files[name] = entry.path
            elif entry.is_symlink():
                result.dead_links.append(name)
    for path, name, real in folders:
        _walk(path, f"{name}/", above | {real}, passed, result)


def readable(name: str) -> str:
    """A file's name as text; bytes that are none are written out: `Gr\\xfcn.png`.

    Args:
      name: as `os` gives it, which has surrogates for such bytes.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): Macs write ü as u and two dots."""
    return unicodedata.normalize("NFC", name)


def decoded(content: bytes) -> str:
    """Text in UTF-8, with or without a byte-order mark, or in UTF-16 with one.

    Raises:
      UnicodeDecodeError: it is neither.
    """
    return content.decode(encoding_of(content))


def encoding_of(start: bytes) -> str:
    """The encoding of a text, by its first two bytes."""
    return "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
