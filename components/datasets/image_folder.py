"""`image_folder`: a folder of pictures and a folder of masks as a TFDS dataset.

Every state of the folders is a version of its own, by the content of the files: what was
prepared before stays as it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from components.common import schema
from components.common.bands import BandsConfig
from components.common.errors import UserError
from components.datasets.config import IMAGE_FOLDER, FolderConfig
from components.datasets.pairs import MaskSource, Pair, some
from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.rounds import rounds_of
from components.datasets.splits.splitting import split

_LOG = logging.getLogger("segline.example_gen")
_VERSION = "1.0.0"
_HASHES_FILE = "hashes.json"
# What changes the examples, besides the files and their splits.
_READING = {
    "colors",
    "mask_values",
    "pictures",
    "mask_parts",
    "labels",
    "boxes",
    "run_order",
    "run_start",
}
_BANDS_READING = {"count", "take", "depth"}
_ENCODED = tfds.features.Tensor(shape=(), dtype=tf.string)


class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The dataset of one state of the folders.

    Args:
      splits: split -> pairs.
      masks: where their masks come from.
      config: how both are read.
      fingerprint: of files and settings.
      bands: what the model sees, where that is not red, green and blue of 8 bits.
      rounds: picture's name -> the round of labelling that it came in; empty: nobody tells.
      **kwargs: TFDS's, such as `data_dir`.
    """

    name = IMAGE_FOLDER
    VERSION = tfds.core.Version(_VERSION)

    def __init__(
        self,
        splits: Mapping[str, Sequence[Pair]],
        masks: MaskSource,
        config: FolderConfig,
        fingerprint: str,
        bands: BandsConfig | None = None,
        rounds: Mapping[str, str] | None = None,
        **kwargs: object,
    ) -> None:
        self._splits = splits
        self._masks = masks
        self._config = config
        self._bands = bands
        self._rounds = rounds or {}
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
                    "image": _ENCODED if self._bands else tfds.features.Image(),
                    "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
                    "file_name": tfds.features.Text(),
                    schema.PROBLEM: tfds.features.Text(),
                    **({schema.ROUND: tfds.features.Text()} if self._rounds else {}),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(pairs) for split, pairs in self._splits.items()}

    def _generate_examples(self, pairs: Sequence[Pair]) -> Iterator[tuple[str, dict]]:
        for pair in pairs:
            found = read_pair(pair, self._masks, self._config, self._bands)
            yield (
                pair.name,
                {
                    "image": found.image if self._bands else io.BytesIO(found.image),
                    "segmentation_mask": io.BytesIO(found.mask),
                    "file_name": pair.name,
                    schema.PROBLEM: found.problem,
                    **({schema.ROUND: self._rounds[pair.name]} if self._rounds else {}),
                },
            )


def open_folder(
    config: FolderConfig, data_dir: str | None, bands: BandsConfig | None = None
) -> ImageFolder:
    """Looks at the folders, and gives the dataset of their present state.

    Args:
      config: the folders.
      data_dir: where TFDS keeps what it prepares; None: its own folder.
      bands: what the model sees, where that is not red, green and blue of 8 bits.

    Returns:
      A builder; prepared, if the folders were in this state before.

    Raises:
      UserError: a folder or file is missing, or a split would be empty.
    """
    masks = mask_source(config)
    matched = masks.match()
    for what, names in (
        ("pictures have no mask", matched.without_mask),
        ("masks have no picture", matched.without_picture),
    ):
        if names:
            _LOG.warning("%d %s and are left out: %s", len(names), what, some(names))
    for note in matched.notes:
        _LOG.warning("%s", note)
    if not matched.pairs:
        raise UserError(
            f"dataset.folder: no picture in {config.images} has a mask in "
            f"{where_masks_are(config)}; mask_suffix says what a mask's name has more than its "
            "picture's, names what else they have"
        )
    splits = split(matched.pairs, config, masks)
    rounds = rounds_of(matched.pairs, config)
    for name, pairs in splits.items():
        if not pairs:
            raise UserError(
                f"dataset.folder: no picture falls into the split {name} "
                f"(of {len(matched.pairs)}, by {config.split_by})"
            )
    root = tfds.core.constants.DATA_DIR if data_dir is None else data_dir
    paths = [*(pair.image for pair in matched.pairs), *masks.files(matched.pairs)]
    hashes = _hashes(paths, os.path.join(os.path.expanduser(str(root)), IMAGE_FOLDER))
    state: dict[str, Any] = {
        "reading": config.model_dump(mode="json", include=_READING),
        "splits": {
            name: [
                [pair.name, hashes[pair.image], masks.fingerprint(pair, hashes.__getitem__)]
                for pair in pairs
            ]
            for name, pairs in splits.items()
        },
    }
    if bands:
        state["bands"] = bands.model_dump(mode="json", include=_BANDS_READING)
    if rounds:
        state["rounds"] = rounds
    canonical = json.dumps(state, sort_keys=True)
    fingerprint = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    return ImageFolder(splits, masks, config, fingerprint, bands, rounds, data_dir=data_dir)


def where_masks_are(config: FolderConfig) -> str:
    """For a message: the folder or the files that tell the masks."""
    one = config.masks or config.labelme or config.yolo or config.run_lengths
    return one or ", ".join(config.annotations)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _hashes(paths: Sequence[str], folder: str) -> dict[str, str]:
    """File -> SHA-256 of its content; only files that have changed are read again."""
    cache = os.path.join(folder, _HASHES_FILE)
    try:
        with open(cache, encoding="utf-8") as file:
            known = json.load(file)
    except (OSError, ValueError):
        known = {}
    entries = {}
    for path in paths:
        status = os.stat(path)
        stamp = [status.st_size, status.st_mtime_ns]
        key = os.path.abspath(path)
        entry = known.get(key)
        if not entry or entry[:2] != stamp:
            entry = [*stamp, hashlib.sha256(_read(path)).hexdigest()]
        entries[key] = entry
    if any(known.get(key) != entry for key, entry in entries.items()):
        partial = f"{cache}.{os.getpid()}.partial"
        try:
            os.makedirs(folder, exist_ok=True)
            with open(partial, "w", encoding="utf-8") as file:
                json.dump({**known, **entries}, file)
            os.replace(partial, cache)
        except OSError as error:
            raise UserError(
                f"dataset.data_dir: {os.path.dirname(folder)} can't be written "
                f"({error.strerror}), and the prepared dataset is kept there; name another folder "
                "(SEGLINE__DATASET__DATA_DIR)"
            ) from error
    return {path: entries[os.path.abspath(path)][2] for path in paths}
