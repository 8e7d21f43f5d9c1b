"""Examples that can't be used: set aside with their reason, counted, and told.

In the artifact's folder `quarantine`: for each output file that some of its examples are
missing from, a TFRecord file of tf.Examples with `image`, `mask`, `example_id` and `reason`;
and `report.json`, with the counts and reasons of all splits. Nothing is lost: what is good,
what was set aside, and what its owner wants left out make up what was read.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.common import schema
from components.common.errors import UserError, listed
from components.common.examples import bytes_of
from components.example_gen.config import BadExamplesConfig

FOLDER = "quarantine"  # in the examples' artifact
_REPORT = "report.json"
_REASON = "reason"
# TFX's files are gzip files; the pictures in them are compressed already, and would get
# smaller by a twentieth only, for more time than all else takes.
RECORD_OPTIONS = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)


@dataclasses.dataclass(frozen=True)
class SetAside:
    """An example that can't be used.

    Attributes:
      example_id: its id.
      reason: what is wrong with it.
    """

    example_id: str
    reason: str


@dataclasses.dataclass
class Outcome:
    """What became of the examples of an output file, or of a split.

    Attributes:
      read: how many there were.
      good: ids of those that were written, in order.
      hashes: of their pictures, in the same order.
      set_aside: those that can't be used.
      left_out: ids of those that `dataset.leave_out` names.
      rounds: of labelling, of those in `good`; None where nobody tells.
      pixels: of their masks, in the order of `good`: class name -> pixels, of those shown.
    """

    read: int = 0
    good: list[str] = dataclasses.field(default_factory=list)
    hashes: list[str] = dataclasses.field(default_factory=list)
    set_aside: list[SetAside] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)
    rounds: list[str | None] = dataclasses.field(default_factory=list)
    pixels: list[dict[str, int]] = dataclasses.field(default_factory=list)

    @classmethod
    def from_json(cls, values: dict) -> Outcome:
        """Inverse of `dataclasses.asdict`."""
        bad = [SetAside(**one) for one in values["set_aside"]]
        return cls(**{**values, "set_aside": bad})


def to_record(image: bytes, mask: bytes, example_id: bytes, reason: str) -> bytes:
    """An example that is set aside, as a serialized tf.Example."""
    values = {
        schema.IMAGE: image,
        schema.MASK: mask,
        schema.EXAMPLE_ID: example_id,
        _REASON: reason.encode(),
    }
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in values.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def set_repeated_aside(files: Sequence[tuple[str, str]], outcomes: Sequence[Outcome]) -> None:
    """Takes every example out of a split whose id another one has before it.

    Args:
      files: for each of the split's output files, in order, where its examples are, and where
        what is set aside of them is, or goes.
      outcomes: what became of their examples; changed.
    """
    seen: set[str] = set()
    for (path, aside), outcome in zip(files, outcomes, strict=True):
        repeated = set()
        for position, example_id in enumerate(outcome.good):
            if example_id in seen:
                repeated.add(position)
            seen.add(example_id)
        if repeated:
            _take_out(path, aside, outcome, repeated)


def _take_out(path: str, aside: str, outcome: Outcome, positions: set[int]) -> None:
    reason = "another example before it has the same id"
    records = list(tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator())
    bad = []
    for position in sorted(positions):
        image, mask, example_id = bytes_of(records[position], *schema.ENCODED_FEATURES)
        bad.append(to_record(image, mask, example_id, reason))
        outcome.set_aside.append(SetAside(outcome.good[position], reason))
    of_each: tuple[list, ...] = (outcome.good, outcome.hashes, outcome.rounds, outcome.pixels)
    for kept in of_each:
        kept[:] = [one for at, one in enumerate(kept) if at not in positions]
    if tf.io.gfile.exists(aside):
        bad = [*tf.data.TFRecordDataset(aside, "GZIP").as_numpy_iterator(), *bad]
    write_records(aside, bad)
    write_records(path, [one for at, one in enumerate(records) if at not in positions])


def write_report(artifact_uri: str, splits: dict[str, Outcome]) -> None:
    """Writes `report.json`."""
    report = {
        split: {
            "read": outcome.read,
            "good": len(outcome.good),
            "set_aside": [dataclasses.asdict(one) for one in outcome.set_aside],
            "left_out": outcome.left_out,
            "pixels": sum(map(Counter, outcome.pixels), Counter()),
        }
        for split, outcome in splits.items()
    }
    tf.io.gfile.makedirs(os.path.join(artifact_uri, FOLDER))
    with tf.io.gfile.GFile(os.path.join(artifact_uri, FOLDER, _REPORT), "w") as file:
        json.dump(report, file, indent=1, ensure_ascii=False)


def read_report(artifact_uri: str) -> dict[str, list[SetAside]]:
    """Split -> what was set aside; empty where an older segline wrote the examples."""
    return {
        split: [SetAside(**one) for one in values["set_aside"]]
        for split, values in _read(artifact_uri).items()
    }


def read_left_out(artifact_uri: str) -> dict[str, list[str]]:
    """Split -> ids of the examples that were left out; empty where an older segline wrote them."""
    return {split: values.get("left_out", []) for split, values in _read(artifact_uri).items()}


def read_pixels(artifact_uri: str) -> dict[str, dict[str, int]]:
    """Split -> class name -> pixels of its masks, of the classes that they show.

    Empty where an older segline wrote the examples.
    """
    told = _read(artifact_uri)
    return {split: values["pixels"] for split, values in told.items() if "pixels" in values}


def _read(artifact_uri: str) -> dict[str, dict[str, Any]]:
    path = os.path.join(artifact_uri, FOLDER, _REPORT)
    if not tf.io.gfile.exists(path):
        return {}
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)


def check(splits: dict[str, Outcome], config: BadExamplesConfig) -> None:
    """Stops the run where too much had to be set aside.

    Raises:
      UserError: names for each such split the share, and the first twenty examples; or nothing is
        left of a split.
    """
    told = []
    for split, outcome in splits.items():
        bad = outcome.set_aside
        if outcome.read == len(outcome.left_out):
            raise UserError(
                f"dataset.leave_out names all {outcome.read} examples of split {split}; take some "
                "of them out of the list"
            )
        if len(bad) <= config.max_fraction * outcome.read and outcome.good:
            continue
        named = listed([f"{one.example_id}: {one.reason}" for one in bad])
        told.append(
            f"{len(bad)} of the {outcome.read} examples of split {split} can't be used "
            f"({len(bad) / outcome.read:.1%}; dataset.bad_examples.max_fraction allows "
            f"{config.max_fraction:.1%}). Mend the dataset or the classes:\n{named}"
        )
    if told:
        raise UserError("\n".join(told))


def merge(outcomes: Sequence[Outcome]) -> Outcome:
    """Those of a split's output files as one."""
    return Outcome(
        sum(one.read for one in outcomes),
        [example_id for one in outcomes for example_id in one.good],
        [text for one in outcomes for text in one.hashes],
        [bad for one in outcomes for bad in one.set_aside],
        [name for one in outcomes for name in one.left_out],
        [told for one in outcomes for told in one.rounds],
        [pixels for one in outcomes for pixels in one.pixels],
    )


def aside_path(path: str) -> str:
    """Where what is set aside of an output file, `<artifact>/Split-<split>/<name>`, is found."""
    split, name = os.path.split(path)
    artifact, split_folder = os.path.split(split)
    return os.path.join(artifact, FOLDER, f"{split_folder.removeprefix('Split-')}-{name}")


def write_records(path: str, records: Sequence[bytes]) -> None:
    """Writes beside, then renames: complete or not there."""
    with tf.io.TFRecordWriter(f"{path}.partial", RECORD_OPTIONS) as writer:
        for record in records:
            writer.write(record)
    tf.io.gfile.rename(f"{path}.partial", path, overwrite=True)
