"""What sources share whose annotations are drawn into the pictures' own size."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from components.common import file_tree, picture_formats
from components.datasets.masks.mask_values import to_png
from components.datasets.pairs import Pair
from components.datasets.sources import shapes

LARGEST = 100_000_000  # pixels of a picture that is drawn on


class AnnotationFiles:
    """A source with a text file, or a part of one, for each picture."""

    names: dict[int, str]

    def files(self, pairs: Sequence[Pair]) -> list[str]:
        """As `MaskSource` has it."""
        return [pair.mask for pair in pairs]

    def fingerprint(self, pair: Pair, hash_of: Callable[[str], str]) -> str:
        """As `MaskSource` has it: the file's content, and what its labels mean."""
        names = sorted(self.names.items())
        return f"{hash_of(pair.mask)} {hashlib.sha256(repr(names).encode()).hexdigest()[:16]}"

    def split_of(self, pair: Pair) -> str:
        """As `MaskSource` has it."""
        del pair
        return ""


def size_of(path: str) -> tuple[int, int]:
    """Height and width of a picture as a viewer shows it.

    Raises:
      OSError: it can't be read, or is too large to be drawn on.
    """
    with open(path, "rb") as file, picture_formats.opened(file.read()) as image:
        height, width = picture_formats.shown_size(image)
    if width * height > LARGEST:
        raise OSError(f"it has {width * height / 1e6:,.0f} million pixels")
    return height, width


def drawn(
    size: tuple[int, int], things: Iterable[Callable[[], shapes.Thing | None]]
) -> tuple[bytes, str]:
    """A mask of things, and what is wrong with one of them.

    Args:
      size: height and width.
      things: each gives a thing, or None where there is nothing to draw.
    """
    found, problem = [], ""
    for make in things:
        try:
            thing = make()
        except (shapes.ShapeError, ValueError, TypeError, KeyError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            problem = f"one of its annotations can't be drawn: {told}"
            continue
        if thing is not None:
            found.append(thing)
    return to_png(shapes.draw(found, *size)), problem


def read_text(path: str) -> str:
    """A text file in UTF-8 or UTF-16.

    Raises:
      OSError: it can't be read, or is no text.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        return file_tree.decoded(content)
    except UnicodeDecodeError as error:
        raise OSError(f"{os.path.basename(path)} is no text in UTF-8") from error


def by_stem(names: Iterable[str], ending: str) -> dict[str, list[str]]:
    """Name without folders and ending -> paths of the files with an ending."""
    found: dict[str, list[str]] = {}
    for name in names:
        stem, own = os.path.splitext(name)
        if own.lower() == ending:
            found.setdefault(os.path.basename(file_tree.composed(stem)), []).append(name)
    return found


def told_of(counts: Counter[str], form: str) -> list[str]:
    """One line for each thing that was counted: `form` has {count} and {what}."""
    return [form.format(count=count, what=what) for what, count in counts.items() if count]
