"""Opening a TFDS dataset, checking it against the config, and telling what it is."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import logging
import os

import numpy as np
import tensorflow_datasets as tfds

import components.datasets.synthetic_fields
import components.datasets.synthetic_pets  # noqa: F401  registers it with TFDS
from components.common import schema, stack
from components.common.bands import BandsConfig
from components.common.errors import UserError
from components.datasets.image_folder import open_folder
from components.example_gen.config import DatasetConfig
from components.example_gen.leave_out import read_leave_out

_LOG = logging.getLogger("segline.example_gen")


@dataclasses.dataclass(frozen=True)
class DatasetIdentity:
    """What the examples were made from; equal identities mean equal examples.

    Attributes:
      name: TFDS name.
      version: the exact version that was opened.
      fingerprint: SHA-256 (16 hex digits) over name, version, features, and each
        split's shard lengths and bytes, as in TFDS's dataset_info; and over the name of
        the builder's config, where there is one, and the ids that are left out, likewise.
      splits: number of examples of each of the pipeline's splits.
      data_path: folder of the prepared dataset. Where the data lies does not
        change what it is, so the fingerprint leaves it out.
    """

    name: str
    version: str
    fingerprint: str
    splits: dict[str, int]
    data_path: str

    def to_json(self) -> str:
        """JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def properties(self) -> dict[str, str | int]:
        """What the examples' artifact tells of it."""
        return {
            "dataset": self.name,
            "dataset_version": self.version,
            "dataset_fingerprint": self.fingerprint,
            **{f"{split}_examples": count for split, count in self.splits.items()},
        }

    @classmethod
    def from_json(cls, text: str) -> DatasetIdentity:
        """Inverse of `to_json`."""
        return cls(**json.loads(text))


def open_dataset(config: DatasetConfig) -> tfds.core.DatasetBuilder:
    """Opens the configured dataset, preparing it first where that is needed.

    Args:
      config: the dataset's name, version and folder.

    Returns:
      A builder whose data is on disk.

    Raises:
      UserError: there is no such dataset or version, or it can't be prepared.
    """
    data_dir = os.path.expanduser(config.data_dir) if config.data_dir else None
    if config.folder:
        builder = open_folder(config.folder, data_dir, config.bands)
        if not _is_prepared(builder):
            _prepare(builder)
        return builder
    if data_dir and not os.path.isdir(data_dir) and not config.download:
        raise UserError(f"dataset.data_dir: there is no folder {os.path.abspath(data_dir)}")
    try:
        builder = tfds.builder(f"{config.name}:{config.version}", data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        prepared = _prepared_versions(data_dir, config.name)
        if prepared:
            raise UserError(
                f"dataset.version: {config.version} can't be had, {data_dir} holds "
                f"{config.name} {', '.join(prepared)}"
            ) from error
        close = difflib.get_close_matches(config.name, tfds.list_builders(), n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UserError(
            f"dataset.name: TFDS knows no dataset {config.name!r}, and "
            f"{data_dir or 'its data_dir'} holds none prepared.{hint}"
        ) from error
    except AssertionError as error:  # how TFDS reports an unknown version
        reason = str(error).rsplit(": ", 1)[-1]
        raise UserError(f"dataset.version: {config.version} can't be had. {reason}") from error

    if not _is_prepared(builder):
        if not config.download:
            raise UserError(
                f"dataset: {config.name} {builder.version} is not prepared in "
                f"{builder.data_dir}, and dataset.download is false"
            )
        _prepare(builder)
    return builder


def _prepared_versions(data_dir: str | None, name: str) -> list[str]:
    folder = os.path.join(data_dir, name) if data_dir else ""
    if not os.path.isdir(folder):
        return []
    return sorted(entry for entry in os.listdir(folder) if entry[:1].isdigit())


def _is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    return bool(builder.info.splits) and os.path.isdir(builder.data_dir)


def _prepare(builder: tfds.core.DatasetBuilder) -> None:
    _LOG.info("preparing %s in %s", builder.info.full_name, builder.data_dir)
    stack.forbid_prism()  # a builder may have a Beam pipeline of its own
    try:
        builder.download_and_prepare()
    except Exception as error:
        if isinstance(error, OSError) or "download" in type(error).__name__.lower():
            raise UserError(
                f"dataset: {builder.info.full_name} could not be prepared in "
                f"{builder.data_dir}: {type(error).__name__}: {str(error).splitlines()[0]}. "
                "Check the network and the disk, or point dataset.data_dir "
                "(SEGLINE__DATASET__DATA_DIR) at a folder where it lies prepared."
            ) from error
        raise


def check_features(builder: tfds.core.DatasetBuilder, config: DatasetConfig) -> None:
    """Checks that the features that the config names are there and of a usable kind.

    Raises:
      UserError: names the key, the feature, and what there is instead.
    """
    features = builder.info.features
    wanted = {"image": config.features.image, "mask": config.features.mask}
    if config.features.example_id:
        wanted["example_id"] = config.features.example_id
    wanted |= {f"slice_by {name}": name for name in config.features.slice_by}
    for key, name in wanted.items():
        if name not in features:
            raise UserError(
                f"dataset.features.{key}: {builder.info.full_name} has no feature {name!r}; "
                f"it has {', '.join(sorted(features))}"
            )
    bands = config.bands
    if bands:
        _check_bands(features[wanted["image"]], wanted["image"], bands)
    for key in ("mask",) if bands else ("image", "mask"):
        if not isinstance(features[wanted[key]], tfds.features.Image):
            kind = type(features[wanted[key]]).__name__
            raise UserError(
                f"dataset.features.{key}: {wanted[key]!r} is a {kind}; an Image feature is needed"
            )
        if np.issubdtype(features[wanted[key]].np_dtype, np.floating):
            # TFDS keeps a float's bytes as four channels of 8 bits, which is no picture.
            raise UserError(
                f"dataset.features.{key}: {wanted[key]!r} has values of "
                f"{np.dtype(features[wanted[key]].np_dtype)}; make a dataset of 8 or 16 bits of it"
            )
    if not bands and np.dtype(features[wanted["image"]].np_dtype) != np.uint8:
        # Its high byte would be taken: next to nothing of a camera of 12 bits.
        raise UserError(
            f"dataset.features.image: {wanted['image']!r} has values of "
            f"{np.dtype(features[wanted['image']].np_dtype)}, and nothing says which of them are "
            "black and white; dataset.bands takes them as they are"
        )
    for name in config.features.slice_by:
        if not _is_sliceable(features[name]):
            raise UserError(
                f"dataset.features.slice_by: {name!r} is a {type(features[name]).__name__}; "
                "a ClassLabel, a Text, or an integer scalar is needed"
            )


def _check_bands(feature: tfds.features.FeatureConnector, name: str, bands: BandsConfig) -> None:
    """Checks what a feature says of its numbers, as far as it does."""
    number = feature.np_dtype
    if number == np.object_ and not feature.shape:  # encoded files
        return
    if len(feature.shape) != 3 or number == np.object_:
        raise UserError(
            f"dataset.features.image: {name!r} is a {type(feature).__name__} of shape "
            f"{feature.shape}; dataset.bands needs [height, width, bands]"
        )
    told = feature.shape[-1], np.dtype(number).name
    if told[0] not in (None, bands.count) or told[1] != bands.depth:
        raise UserError(
            f"dataset.bands: {name!r} has {told[0]} bands of {told[1]}, not {bands.count} of "
            f"{bands.depth}"
        )


def _is_sliceable(feature: tfds.features.FeatureConnector) -> bool:
    if isinstance(feature, (tfds.features.ClassLabel, tfds.features.Text)):
        return True
    scalar = isinstance(feature, tfds.features.Tensor) and feature.shape == ()
    return scalar and feature.np_dtype.__name__.startswith(("int", "uint", "bool"))


def identify(builder: tfds.core.DatasetBuilder, config: DatasetConfig) -> DatasetIdentity:
    """Tells what the dataset is and how many examples each split has.

    Args:
      builder: a prepared dataset.
      config: maps the pipeline's splits to TFDS split expressions.

    Returns:
      The identity that caching and lineage go by.

    Raises:
      UserError: a split expression is wrong, or selects nothing; or the list of what is left
        out can't be read.
    """
    counts = {}
    for split in schema.SPLITS:
        expression = getattr(config.splits, split)
        try:
            counts[split] = builder.info.splits[expression].num_examples
        except (ValueError, KeyError, AssertionError) as error:
            there = ", ".join(
                f"{name} ({info.num_examples})" for name, info in builder.info.splits.items()
            )
            raise UserError(
                f"dataset.splits.{split}: {expression!r} does not fit "
                f"{builder.info.full_name}, which has the splits {there}"
            ) from error
        if not counts[split]:
            raise UserError(f"dataset.splits.{split}: {expression!r} selects no examples")

    described = {
        "name": builder.name,
        "version": str(builder.version),
        "features": builder.info.features.to_json(),
        "splits": {
            name: {"shard_lengths": list(split.shard_lengths), "num_bytes": split.num_bytes}
            for name, split in builder.info.splits.items()
        },
    }
    config_name = getattr(builder.builder_config, "name", None)
    if config_name:
        described["config"] = config_name
    if config.leave_out:
        described["leave_out"] = sorted(read_leave_out(config.leave_out))
    canonical = json.dumps(described, sort_keys=True)
    return DatasetIdentity(
        name=builder.name,
        version=str(builder.version),
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest()[:16],
        splits=counts,
        data_path=os.path.abspath(builder.data_dir),
    )
