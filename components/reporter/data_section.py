"""What the report says of the data: splits, sizes, class shares, anomalies, samples."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.common import schema
from components.common.bands import BandsConfig
from components.common.examples import bytes_of, split_files
from components.common.picture_fit import Fit
from components.data_validation.drift import has_baseline, read_drift
from components.data_validation.validator import describe_anomalies, read_anomalies
from components.datasets import vanishing
from components.example_gen import leaks, quarantine, rounds
from components.reporter import charts
from components.reporter.split_look import (
    SplitLook,
    SplitViewer,
    Thumbnail,
    all_doubtful,
    class_shares,
    reasons_of,
)
from components.trainer.record import read_training

_MOST_TOLD = 20
_MOST_DOUBTFUL = 12  # shown
_LOOKED_AT = 200  # examples of each split: `segline data look` shows all
_IMAGE_SIZE = (128, 128)
_STATISTICS_FILE = "FeatureStats.pb"


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What TFDV's statistics say of a split.

    Attributes:
      name: of the split.
      examples: number of examples.
      height: smallest, median and largest, in pixels.
      width: likewise.
    """

    name: str
    examples: int
    height: tuple[int, int, int]
    width: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class DataSection:
    """What the template shows.

    Attributes:
      dataset: name and version.
      fingerprint: of the dataset.
      splits: in the order of the pipeline.
      shares: split -> class name -> share of its pixels, ignored ones left out; empty: an older
        segline wrote the examples.
      shares_chart: SVG.
      set_aside: one line for each example that can't be used, the first twenty of a split.
      set_aside_count: how many there are in all.
      left_out: ids of the examples that `dataset.leave_out` names, the first twenty of a split.
      left_out_count: how many there are in all.
      rounds: (round of labelling, its pictures); empty: nobody tells rounds.
      leaks: one line for each picture that is in the training split too, the first twenty.
      leaks_count: how many there are in all.
      anomalies: one line each, with the split's name; None: not validated.
      drift: one line for each feature that is too far from the data of the latest blessed
        model; None: not looked at.
      compared: whether there was such data.
      decisions: of `segline init`, from the config.
      looks: of each split, with its contact sheet; of its first examples.
      looked_at: how many these are at most.
      vanishing: one line for each class of whose things the model does not see some.
      doubtful: pairs that look wrong, the first of them.
      reasons: why, each with its number.
    """

    dataset: str
    fingerprint: str
    splits: list[SplitFacts]
    shares: dict[str, dict[str, float]]
    shares_chart: str
    set_aside: list[str]
    set_aside_count: int
    left_out: list[str]
    left_out_count: int
    rounds: list[tuple[str, int]]
    leaks: list[str]
    leaks_count: int
    anomalies: list[str] | None
    drift: list[str] | None
    compared: bool
    decisions: list[str]
    looks: list[SplitLook]
    looked_at: int
    vanishing: list[str]
    doubtful: list[Thumbnail]
    reasons: list[tuple[str, int]]


def make(
    artifacts: dict[str, mlmd.Artifact],
    classes: schema.ClassTable,
    num_samples: int,
    decisions: Sequence[str] = (),
) -> DataSection | None:
    """Reads the section's facts.

    Args:
      artifacts: by name; uses `examples`, `statistics`, `anomalies`, `drift` and `model_run`.
      classes: the class table.
      num_samples: how many pictures of each split to show.
      decisions: of `segline init`.

    Returns:
      The section; None where the run did not get to the statistics.
    """
    if "examples" not in artifacts or "statistics" not in artifacts:
        return None
    examples = artifacts["examples"]
    pixels = quarantine.read_pixels(examples.uri)
    shares = {split: class_shares(counts, classes.names) for split, counts in pixels.items()}
    set_aside = quarantine.read_report(examples.uri)
    left_out = quarantine.read_left_out(examples.uri)
    leaked = leaks.read_leaks(examples.uri)
    size, fit = _seen(artifacts.get("model_run"))
    bands = _bands(examples)
    viewers = [
        _viewed(
            split_files(examples.uri, split),
            SplitViewer(split, classes, num_samples, size, fit, bands),
        )
        for split in schema.SPLITS
    ]
    looks = [viewer.seen() for viewer in viewers]
    doubtful = all_doubtful(viewers)
    return DataSection(
        dataset="{} {}".format(*(_text(examples, key) for key in ("dataset", "dataset_version"))),
        fingerprint=_text(examples, "dataset_fingerprint"),
        splits=read_splits(artifacts["statistics"]),
        shares=shares,
        shares_chart=charts.class_shares(shares, classes.names) if shares else "",
        set_aside=[
            f"{split}: {one.example_id}: {one.reason}"
            for split, bad in set_aside.items()
            for one in bad[:_MOST_TOLD]
        ],
        set_aside_count=sum(map(len, set_aside.values())),
        left_out=[
            f"{split}: {name}" for split, names in left_out.items() for name in names[:_MOST_TOLD]
        ],
        left_out_count=sum(map(len, left_out.values())),
        rounds=_rounds(examples),
        leaks=[f"{leak.split}: {leak}" for leak in leaked[:_MOST_TOLD]],
        leaks_count=len(leaked),
        anomalies=_anomalies(artifacts.get("anomalies")),
        drift=read_drift(artifacts["drift"].uri) if "drift" in artifacts else None,
        compared="drift" in artifacts and has_baseline(artifacts["drift"].uri),
        decisions=list(decisions),
        looks=looks,
        looked_at=_LOOKED_AT,
        vanishing=[
            f"{look.name}: {line}"
            for look in looks
            for line in vanishing.told(look.things, size, fit)
        ],
        doubtful=doubtful[:_MOST_DOUBTFUL],
        reasons=reasons_of(doubtful)[:_MOST_TOLD],
    )


def read_splits(statistics: mlmd.Artifact) -> list[SplitFacts]:
    """Reads the statistics of all splits."""
    result = []
    for split in schema.SPLITS:
        path = os.path.join(_split_uri(statistics, split), _STATISTICS_FILE)
        (dataset,) = tfdv.load_stats_binary(path).datasets
        features = {feature.path.step[0]: feature for feature in dataset.features}
        result.append(
            SplitFacts(
                name=split,
                examples=dataset.num_examples,
                height=_range(features[schema.HEIGHT]),
                width=_range(features[schema.WIDTH]),
            )
        )
    return result


def _range(feature: statistics_pb2.FeatureNameStatistics) -> tuple[int, int, int]:
    numbers = feature.num_stats
    return int(numbers.min), int(numbers.median), int(numbers.max)


def _anomalies(artifact: mlmd.Artifact | None) -> list[str] | None:
    if artifact is None:
        return None
    return [
        f"{split}: {line}"
        for split in schema.SPLITS
        for line in describe_anomalies(read_anomalies(_split_uri(artifact, split)))
    ]


def _viewed(files: Sequence[str], viewer: SplitViewer) -> SplitViewer:
    """Has a viewer look at the first examples of a split's files."""
    for record in tf.data.TFRecordDataset(files, "GZIP").take(_LOOKED_AT).as_numpy_iterator():
        (example_id,) = bytes_of(record, schema.EXAMPLE_ID)
        viewer.add(example_id.decode(errors="replace"), record)
    return viewer


def _seen(model_run: mlmd.Artifact | None) -> tuple[tuple[int, int], Fit]:
    """Size and fit of the pictures that the model saw; where there is none, of a new config."""
    if model_run is None:
        return _IMAGE_SIZE, "stretch"
    try:
        training = read_training(model_run.uri)
        height, width = training["image_size"]
    except (OSError, ValueError, KeyError, tf.errors.OpError):
        return _IMAGE_SIZE, "stretch"
    return (height, width), training.get("fit", "stretch")


def _bands(examples: mlmd.Artifact) -> BandsConfig | None:
    told = _text(examples, schema.BANDS) if schema.BANDS in examples.custom_properties else ""
    return BandsConfig.model_validate_json(told) if told else None


def _rounds(examples: mlmd.Artifact) -> list[tuple[str, int]]:
    by_split = rounds.read_rounds(examples.uri).values()
    return sorted(Counter(name for ids in by_split for name in ids.values()).items())


def _split_uri(artifact: mlmd.Artifact, split: str) -> str:
    return os.path.join(artifact.uri, f"Split-{split}")


def _text(artifact: mlmd.Artifact, key: str) -> str:
    return artifact.custom_properties[key].string_value
