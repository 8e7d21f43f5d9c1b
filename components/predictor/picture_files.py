"""Pictures on disk: finding them, reading them as a viewer shows them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence

from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import UserError

# What the model decodes itself; anything else that Pillow can read becomes a PNG.
_MODEL_FORMATS = ("JPEG", "PNG", "GIF")
_ORIENTATION_TAG = 0x0112


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture, ready for the model.

    Attributes:
      encoded: JPEG, PNG or GIF; upright.
      image: the same pixels, RGB.
    """

    encoded: bytes
    image: Image.Image


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
            found += [(file, os.path.join(below, name)) for file, name in _walk(path, out)]
        elif os.path.exists(path):
            found.append((path, os.path.basename(path)))
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


def read_picture(path: str) -> Picture:
    """Reads a picture, turned as its EXIF orientation says.

    Raises:
      OSError: it can't be read or decoded. (Pillow's errors are OSErrors.)
    """
    with open(path, "rb") as file:
        encoded = for_model(file.read())
    with _opened(encoded) as image:
        return Picture(encoded, _as_rgb(image))


def for_model(content: bytes) -> bytes:
    """A picture as the model can take it: JPEG, PNG or GIF, upright.

    A model sees pixels only: a phone's picture, stored lying, would be segmented
    lying, and its mask would not lie over what a viewer shows.

    Args:
      content: any file that Pillow can read.

    Returns:
      `content` itself where that will do (it is not decoded then), or else a PNG.

    Raises:
      OSError: it is no picture, or one that has to be decoded and can't be.
    """
    with _opened(content) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) not in (0, 1)
        if image.format in _MODEL_FORMATS and not turned:
            return content
        buffer = io.BytesIO()
        _as_rgb(ImageOps.exif_transpose(image)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except UnidentifiedImageError as error:  # its own message names a Python object
        raise OSError("it is no picture") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds on damaged files
        raise OSError(f"{type(error).__name__}: {error}") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off
        image = image.point(lambda value: value / 257).convert("L")
    return image.convert("RGB")


def _walk(folder: str, out: str) -> list[tuple[str, str]]:
    """(path, path relative to the folder) of every picture below, but for those in `out`."""
    out = os.path.realpath(out)
    endings = Image.registered_extensions()
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) != out
        )
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings:
                path = os.path.join(parent, name)
                found.append((path, os.path.relpath(path, folder)))
    return found


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
