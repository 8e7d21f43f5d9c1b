"""`image_folder`: a folder of pictures and a folder of masks as a TFDS dataset.

Every state of the folders is a version of its own, by the content of the files: what was
prepared before stays as it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from components import pictures, schema
from components.errors import UserError
from components.example_gen.config import IMAGE_FOLDER, FolderConfig

_LOG = logging.getLogger("segline.example_gen")
_VERSION = "1.0.0"
_HASHES_FILE = "hashes.json"
SPLIT_FOLDERS = {
    "train": schema.TRAIN,
    "training": schema.TRAIN,
    "validation": schema.VALIDATION,
    "valid": schema.VALIDATION,
    "val": schema.VALIDATION,
    "test": schema.TEST,
}
_LARGEST = 100_000_000  # pixels; more is left to ExampleGen, which decodes no such thing
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Attributes:
      name: the picture's path below the folder of pictures.
      image: path of the picture.
      mask: path of the mask.
    """

    name: str
    image: str
    mask: str


@dataclasses.dataclass(frozen=True)
class Matched:
    """What the two folders hold.

    Attributes:
      pairs: by name.
      without_mask: pictures that have none.
      without_picture: masks that have none.
    """

    pairs: list[Pair]
    without_mask: list[str]
    without_picture: list[str]


class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The dataset of one state of the folders.

    Args:
      splits: split -> pairs.
      colors: mask value -> colour; empty where masks hold values.
      fingerprint: of files and settings.
      **kwargs: TFDS's, such as `data_dir`.
    """

    name = IMAGE_FOLDER
    VERSION = tfds.core.Version(_VERSION)

    def __init__(
        self,
        splits: Mapping[str, Sequence[Pair]],
        colors: Mapping[int, Sequence[int]],
        fingerprint: str,
        **kwargs: object,
    ) -> None:
        self._splits = splits
        self._colors = colors
        state = tfds.core.BuilderConfig(
            name=fingerprint, version=_VERSION, description="One state of two folders."
        )
        super().__init__(config=state, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
                    "file_name": tfds.features.Text(),
                    schema.PROBLEM: tfds.features.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(pairs) for split, pairs in self._splits.items()}

    def _generate_examples(self, pairs: Sequence[Pair]) -> Iterator[tuple[str, dict]]:
        for pair in pairs:
            mask, problem = read_mask(_read(pair.mask), self._colors)
            yield (
                pair.name,
                {
                    "image": io.BytesIO(read_image(_read(pair.image), _size_of(mask))),
                    "segmentation_mask": io.BytesIO(mask),
                    "file_name": pair.name,
                    schema.PROBLEM: problem,
                },
            )


def open_folder(config: FolderConfig, data_dir: str | None) -> ImageFolder:
    """Looks at the folders, and gives the dataset of their present state.

    Args:
      config: the folders.
      data_dir: where TFDS keeps what it prepares; None: its own folder.

    Returns:
      A builder; prepared, if the folders were in this state before.

    Raises:
      UserError: a folder or file is missing, or a split would be empty.
    """
    matched = match(config)
    for what, names in (
        ("pictures have no mask", matched.without_mask),
        ("masks have no picture", matched.without_picture),
    ):
        if names:
            _LOG.warning("%d %s and are left out: %s", len(names), what, _some(names))
    if not matched.pairs:
        raise UserError(
            f"dataset.folder: no picture in {config.images} has a mask in {config.masks}; "
            "mask_suffix says what a mask's name has more than its picture's"
        )
    splits = split(matched.pairs, config)
    for name, pairs in splits.items():
        if not pairs:
            raise UserError(
                f"dataset.folder: no picture falls into the split {name} "
                f"(of {len(matched.pairs)}, by {config.split_by})"
            )
    root = tfds.core.constants.DATA_DIR if data_dir is None else data_dir
    hashes = _hashes(matched.pairs, os.path.join(os.path.expanduser(str(root)), IMAGE_FOLDER))
    state = {
        "colors": {str(value): list(color) for value, color in config.colors.items()},
        "splits": {
            name: [[pair.name, hashes[pair.image], hashes[pair.mask]] for pair in pairs]
            for name, pairs in splits.items()
        },
    }
    canonical = json.dumps(state, sort_keys=True)
    fingerprint = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    return ImageFolder(splits, config.colors, fingerprint, data_dir=data_dir)


def match(config: FolderConfig) -> Matched:
    """Finds the mask of each picture: by its path, or else by its name alone.

    Raises:
      UserError: there is no such folder.
    """
    images, masks = (
        files(os.path.expanduser(folder), key)
        for key, folder in (("images", config.images), ("masks", config.masks))
    )
    suffix = config.mask_suffix
    by_path = {
        stem.removesuffix(suffix): path for path in masks if (stem := _stem(path)).endswith(suffix)
    }
    by_name: dict[str, list[str]] = {}
    for stem, path in by_path.items():
        by_name.setdefault(os.path.basename(stem), []).append(path)
    pictures_named = Counter(os.path.basename(_stem(path)) for path in images)
    pairs, without = [], []
    for path in images:
        stem = _stem(path)
        mask = by_path.get(stem)
        alone = by_name.get(os.path.basename(stem), [])
        if mask is None and len(alone) == 1 and pictures_named[os.path.basename(stem)] == 1:
            (mask,) = alone
        if mask is None:
            without.append(path)
        else:
            pairs.append(Pair(path, images[path], masks[mask]))
    taken = {pair.mask for pair in pairs}
    return Matched(pairs, without, [path for path in masks if masks[path] not in taken])


def split(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    """Split -> its pairs, as the config says.

    Raises:
      UserError: a picture is in no split's folder, or a list names what isn't there.
    """
    result: dict[str, list[Pair]] = {name: [] for name in schema.SPLITS}
    if config.split_by == "lists":
        return _split_by_lists(pairs, config)
    for pair in pairs:
        if config.split_by == "hash":
            name = _split_of_hash(_stem(pair.name), config.validation, config.test)
        else:
            folder = pair.name.split("/")[0]
            name = SPLIT_FOLDERS.get(folder)
            if name is None:
                raise UserError(
                    f"dataset.folder: {pair.name} is in none of the folders train, validation "
                    "(or val) and test; move it, or split by hash"
                )
        result[name].append(pair)
    return result


def _split_of_hash(stem: str, validation: float, test: float) -> str:
    at = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big") / 2**64
    if at < test:
        return schema.TEST
    return schema.VALIDATION if at < test + validation else schema.TRAIN


def _split_by_lists(pairs: Sequence[Pair], config: FolderConfig) -> dict[str, list[Pair]]:
    known = {key: pair for pair in pairs for key in (pair.name, _stem(pair.name))}
    result, taken = {}, {}
    for name, path in config.lists.items():
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                lines = [line.strip() for line in file if line.strip()]
        except OSError as error:
            raise UserError(f"dataset.folder.lists: {path}: {error.strerror}") from error
        missing = [line for line in lines if line not in known]
        if missing:
            raise UserError(
                f"dataset.folder.lists: {path} names {len(missing)} pictures that are not in "
                f"{config.images}, or have no mask: {_some(missing)}"
            )
        result[name] = [known[line] for line in lines]
        for pair in result[name]:
            if pair.name in taken:
                raise UserError(
                    f"dataset.folder.lists: {pair.name} is in {taken[pair.name]} and in {path}"
                )
            taken[pair.name] = path
    return result


def read_image(content: bytes, mask_size: tuple[int, int] | None) -> bytes:
    """A picture as the model can decode it; upright, as a viewer shows it.

    Args:
      content: of the file.
      mask_size: width and height of the mask; None: not known.

    Returns:
      The content itself where it is a JPEG, PNG or GIF that needs no turning; what can't
      be read too: ExampleGen says what is wrong with it. Else a PNG.
    """
    if (pictures.pixels_of(content) or 0) > _LARGEST:
        return content
    try:
        upright = pictures.for_model(content)
        if upright is not content and _size_of(upright) != mask_size:
            # Some tools draw masks on the pixels as they are stored.
            as_stored = pictures.for_model(content, turn=False)
            return as_stored if _size_of(as_stored) == mask_size else upright
        return upright
    except OSError:
        return content


def read_mask(content: bytes, colors: Mapping[int, Sequence[int]]) -> tuple[bytes, str]:
    """A mask as a grey PNG of its values.

    Args:
      content: of the file: PNG, GIF, TIFF or BMP with values as grey (8 or 16 bits) or as
        indices of a palette; with `colors`: a picture in these colours.
      colors: mask value -> colour.

    Returns:
      The PNG, and what is wrong with the mask (empty: nothing). What can't be read comes
      back as it is: ExampleGen says what is wrong with it.
    """
    if (pictures.pixels_of(content) or 0) > _LARGEST:
        return content, ""
    try:
        with pictures.opened(content) as image:
            if not colors and image.mode == "L" and image.format == "PNG":
                return content, ""
            image.load()
            values, problem = _values_of_colors(image, colors) if colors else _values(image)
    except OSError:
        return content, ""
    if values is None:
        return content, problem
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue(), problem


def _values(image: Image.Image) -> tuple[np.ndarray | None, str]:
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L")), ""
    if image.mode == "P":
        palette = np.reshape(image.getpalette() or [], (-1, 3))
        indices = np.asarray(image)
        grey = np.all(palette == palette[:, :1], axis=1)
        # A palette of greys is how some formats write grey: then the grey is meant.
        return (palette[:, 0].astype(np.uint8)[indices] if grey.all() else indices), ""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > schema.LARGEST_MASK_VALUE:
            return None, f"the mask has the value {values.max()}, which is more than 16 bits hold"
        return values.astype(np.uint8 if values.max() < 256 else np.uint16), ""
    channels = np.asarray(image.convert("RGB"))
    if (channels == channels[..., :1]).all():
        return np.ascontiguousarray(channels[..., 0]), ""
    return None, ("the mask is coloured: say in dataset.folder.colors which colour is which value")


def _values_of_colors(
    image: Image.Image, colors: Mapping[int, Sequence[int]]
) -> tuple[np.ndarray, str]:
    channels = np.asarray(image.convert("RGB")).astype(np.int32)
    codes = channels @ np.array([1 << 16, 1 << 8, 1], np.int32)
    table = {(red << 16) + (green << 8) + blue: v for v, (red, green, blue) in colors.items()}
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    values = np.array([table.get(int(code), 0) for code in found])
    values = values.astype(np.uint8 if max(colors) < 256 else np.uint16)
    unknown = [(n, int(code)) for code, n in zip(found, counts, strict=True) if code not in table]
    problem = ""
    if unknown:
        count, code = max(unknown)
        rgb = [code >> 16, code >> 8 & 255, code & 255]
        problem = (
            f"the mask has the colour {rgb} ({count} pixels), which is not in dataset.folder.colors"
        )
    return values[inverse].reshape(codes.shape), problem


def files(folder: str, key: str) -> dict[str, str]:
    """Path below the folder (with /) -> path, of all files with a picture's ending."""
    if not os.path.isdir(folder):
        raise UserError(f"dataset.folder.{key}: there is no folder {os.path.abspath(folder)}")
    endings = Image.registered_extensions()
    result = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings:
                path = os.path.join(parent, name)
                result[os.path.relpath(path, folder).replace(os.sep, "/")] = path
    return result


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _size_of(mask: bytes) -> tuple[int, int] | None:
    try:
        with pictures.opened(mask) as image:
            return image.size
    except OSError:
        return None


def _hashes(pairs: Sequence[Pair], folder: str) -> dict[str, str]:
    """File -> SHA-256 of its content; only files that have changed are read again."""
    cache = os.path.join(folder, _HASHES_FILE)
    try:
        with open(cache, encoding="utf-8") as file:
            known = json.load(file)
    except (OSError, ValueError):
        known = {}
    entries = {}
    for path in (path for pair in pairs for path in (pair.image, pair.mask)):
        status = os.stat(path)
        stamp = [status.st_size, status.st_mtime_ns]
        key = os.path.abspath(path)
        entry = known.get(key)
        if not entry or entry[:2] != stamp:
            entry = [*stamp, hashlib.sha256(_read(path)).hexdigest()]
        entries[key] = entry
    if any(known.get(key) != entry for key, entry in entries.items()):
        os.makedirs(folder, exist_ok=True)
        partial = f"{cache}.{os.getpid()}.partial"
        with open(partial, "w", encoding="utf-8") as file:
            json.dump({**known, **entries}, file)
        os.replace(partial, cache)
    return {
        path: entries[os.path.abspath(path)][2]
        for pair in pairs
        for path in (pair.image, pair.mask)
    }
