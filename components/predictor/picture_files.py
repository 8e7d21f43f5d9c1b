"""Pictures on disk: finding them, reading them as a viewer shows them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from PIL import Image

from components.common import file_tree, picture_formats
from components.common.bands import BandsConfig, from_npy, shown
from components.common.errors import UserError
from components.common.picture_settings import DEFAULT, PictureSettings


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture, ready for the model.

    Attributes:
      encoded: JPEG, PNG or GIF, or an .npy of many bands; upright.
      image: the same pixels, RGB; of many bands, those that are shown.
      notes: what was decided about it that its file does not say.
    """

    encoded: bytes
    image: Image.Image
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """A picture and where its results go.

    Attributes:
      path: of the picture.
      output: path of the results without their endings (`_mask.png`), relative.
    """

    path: str
    output: str


def find_pictures(paths: Sequence[str], out: str) -> list[PictureFile]:
    """Finds the pictures that are meant, in a stable order.

    Args:
      paths: files, and folders that are searched to any depth for files with a
        picture's ending. Hidden files and folders are passed over.
      out: folder for the results; what lies there already is no input.

    Returns:
      The files; no two have the same output.

    Raises:
      UserError: a path does not exist, or there is no picture at all.
    """
    found: list[tuple[str, str]] = []
    for path in paths:
        if os.path.isdir(path):
            # With several folders, each keeps its name in the output.
            below = os.path.basename(os.path.abspath(path)) if len(paths) > 1 else ""
            below = file_tree.readable(below)
            found += [
                (file, os.path.join(below, name))
                for name, file in file_tree.walk(path, without=out).files.items()
                if os.path.splitext(name)[1].lower() in picture_formats.endings()
            ]
        elif os.path.exists(path):
            found.append((path, file_tree.readable(os.path.basename(path))))
        else:
            raise UserError(f"there is no file or folder {path}")
    if not found:
        raise UserError(f"no pictures in {', '.join(paths)}")
    taken: set[str] = set()
    result = []
    for path, name in found:
        output = _free_name(name, taken)
        taken.add(output)
        result.append(PictureFile(path, output))
    return result


def read_picture(
    path: str, settings: PictureSettings = DEFAULT, bands: BandsConfig | None = None
) -> Picture:
    """Reads a picture, turned as its EXIF orientation says.

    Args:
      path: of the file.
      settings: how the model's own pictures were read.
      bands: what the model sees, where that is not red, green and blue of 8 bits.

    Raises:
      OSError: it can't be read or decoded. (Pillow's errors are OSErrors.)
    """
    with open(path, "rb") as file:
        found = picture_formats.for_model(file.read(), settings, bands)
    if bands:
        image = Image.fromarray(shown(from_npy(found.encoded), bands))
        return Picture(found.encoded, image, found.notes)
    with picture_formats.opened(found.encoded) as image:
        return Picture(found.encoded, picture_formats.as_rgb(image), found.notes)


def _free_name(name: str, taken: set[str]) -> str:
    """The name without its ending; with it, or with a number, where that is taken."""
    stem, ending = os.path.splitext(name)
    candidates = [stem, f"{stem}_{ending.lstrip('.')}"]
    number = 2
    while candidates[0] in taken:
        candidates.pop(0)
        if not candidates:
            candidates.append(f"{stem}_{number}")
            number += 1
    return candidates[0]
