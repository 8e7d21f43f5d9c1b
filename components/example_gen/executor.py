"""Beam pipeline: TFDS slices in, TFRecord files of tf.Examples out.

The unit of work is one output file: a worker reads its slice of the split in
TFDS's own order and writes it out. There is no shuffle between workers, so the
order of the examples and the bytes of the files are the same on every run, and
memory does not grow with the dataset.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components import schema
from components.example_gen import encoding, leaks, quarantine
from components.example_gen.config import DatasetConfig
from components.example_gen.dataset import (
    DatasetIdentity,
    check_features,
    identify,
    open_dataset,
)

_LOG = logging.getLogger("segline.example_gen")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One output file and the part of a split that goes into it."""

    split: str
    expression: str
    index: int
    count: int
    path: str


class WriteShard(beam.DoFn):
    """Writes one shard, reads it back, and yields its path.

    Args:
      data_path: folder of the prepared TFDS dataset.
      config: which features are taken.
      classes: the values that a mask may have.
    """

    def __init__(self, data_path: str, config: DatasetConfig, classes: schema.ClassTable) -> None:
        self._data_path = data_path
        self._config = config
        self._classes = classes

    def setup(self) -> None:
        """Opens the dataset, once a worker."""
        self._builder = tfds.builder_from_directory(self._data_path)
        self._encoder = encoding.ExampleEncoder(
            self._builder.info.features,
            self._config.features,
            self._classes,
            self._config.bad_examples,
        )

    def process(self, shard: Shard) -> Iterator[str]:
        """Writes aside and renames, so that no half-written file bears a final name."""
        part = tfds.even_splits(shard.expression, n=shard.count)[shard.index]
        dataset = self._builder.as_dataset(
            split=part,
            decoders=self._encoder.decoders,
            # One file after the other: the order must not depend on timing.
            read_config=tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1),
            shuffle_files=False,
        )
        partial = f"{shard.path}.partial"
        outcome, aside = quarantine.Outcome(), []
        # The pictures are compressed already; the lowest level is nearly as small.
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
        with tf.io.TFRecordWriter(partial, options) as writer:
            for element in dataset.as_numpy_iterator():
                outcome.read += 1
                example_id = self._encoder.id_of(element)
                name = example_id.decode(errors="replace")
                try:
                    record, image = self._encoder.encode(element)
                except encoding.BadExampleError as problem:
                    reason = str(problem)
                    outcome.set_aside.append(quarantine.SetAside(name, reason))
                    parts = self._encoder.parts_of(element)
                    aside.append(quarantine.to_record(*parts, example_id, reason))
                else:
                    writer.write(record)
                    outcome.good.append(name)
                    outcome.hashes.append(leaks.picture_hash(image))
        expected = self._builder.info.splits[part].num_examples
        found = sum(1 for _ in tf.data.TFRecordDataset(partial, "GZIP"))
        if outcome.read != expected or found != len(outcome.good):
            raise RuntimeError(
                f"{shard.path}: TFDS counts {expected} examples, {outcome.read} were read; "
                f"{len(outcome.good)} were written, {found} can be read back"
            )
        quarantine.write_outcome(shard.path, outcome, aside)
        tf.io.gfile.rename(partial, shard.path, overwrite=True)
        yield shard.path


def plan_shards(
    identity: DatasetIdentity, config: DatasetConfig, split_uris: dict[str, str]
) -> list[Shard]:
    """Cuts every split into files of about `examples_per_shard` examples.

    A small split is cut too, so that there is work for every core.
    """
    shards = []
    for split, total in identity.splits.items():
        count = math.ceil(total / min(config.examples_per_shard, max(1, total // 4)))
        for index in range(count):
            name = f"data_tfrecord-{index:05d}-of-{count:05d}.gz"
            expression = getattr(config.splits, split)
            path = os.path.join(split_uris[split], name)
            shards.append(Shard(split, expression, index, count, path))
    return shards


def _gather(shards: list[Shard], repeats: bool) -> dict[str, quarantine.Outcome]:
    """What became of each split's examples; those with an id seen before are set aside.

    Args:
      shards: the output files, all there.
      repeats: whether ids can repeat: TFDS's own can't.
    """
    splits = {}
    for split in schema.SPLITS:
        paths = [shard.path for shard in shards if shard.split == split]
        outcomes = quarantine.read_outcomes(paths)
        if None in outcomes:
            raise RuntimeError(f"{paths[outcomes.index(None)]}: nobody has put down its counts")
        if repeats:
            quarantine.set_repeated_aside(paths, outcomes)
        splits[split] = quarantine.merge(outcomes)
    return splits


def _find_leaks(splits: dict[str, quarantine.Outcome], config: DatasetConfig) -> list[leaks.Leak]:
    """Pictures that are in the training split too; told in the log.

    Raises:
      UserError: there are too many.
    """
    pairs = {
        split: list(zip(outcome.good, outcome.hashes, strict=True))
        for split, outcome in splits.items()
    }
    found = []
    for split in (schema.VALIDATION, schema.TEST):
        part = leaks.find_leaks(split, pairs[split], pairs[schema.TRAIN], config.leaks.distance)
        if part:
            _LOG.warning(
                "%d of the %d pictures of split %s are in the training split too, such as: %s",
                len(part),
                len(pairs[split]),
                split,
                part[0],
            )
        found += part
    leaks.check(found, {split: len(pairs[split]) for split in pairs}, config.leaks)
    return found


def _identify(config: DatasetConfig, artifact: types.Artifact) -> DatasetIdentity:
    """Does the driver's work: opens the dataset, and puts down what it is."""
    builder = open_dataset(config)
    check_features(builder, config)
    identity = identify(builder, config)
    for key, value in identity.properties().items():
        put = (
            artifact.set_int_custom_property
            if isinstance(value, int)
            else artifact.set_string_custom_property
        )
        put(key, value)
    return identity


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of TfdsExampleGen."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes all splits.

        Raises:
          UserError: too many examples can't be used (named in the message).
          RuntimeError: a record or a file was lost.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = DatasetConfig.model_validate_json(exec_properties["dataset"])
        classes = schema.ClassTable.model_validate_json(exec_properties["classes"])
        artifact = artifact_utils.get_single_instance(output_dict["examples"])
        if "identity" in exec_properties:
            identity = DatasetIdentity.from_json(exec_properties["identity"])
        else:  # Vertex AI runs no driver of ours
            identity = _identify(config, artifact)
        artifact.split_names = artifact_utils.encode_split_names(list(schema.SPLITS))
        uris = {split: artifact_utils.get_split_uri([artifact], split) for split in schema.SPLITS}
        for uri in uris.values():
            tf.io.gfile.makedirs(uri)

        shards = plan_shards(identity, config, uris)
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(shards, reshuffle=False)
                | "SpreadOverWorkers" >> beam.Reshuffle()
                | "WriteShard" >> beam.ParDo(WriteShard(identity.data_path, config, classes))
            )
        # Every file's records were counted by who wrote it; here it is made sure
        # that no whole file was lost, whatever the runner.
        lost = [shard.path for shard in shards if not tf.io.gfile.exists(shard.path)]
        if lost:
            raise RuntimeError(f"{len(lost)} of {len(shards)} files were not written: {lost[:3]}")
        splits = _gather(shards, repeats=config.features.example_id is not None)
        quarantine.check(splits, config.bad_examples)
        quarantine.write_report(artifact.uri, splits)
        found = _find_leaks(splits, config)
        leaks.write_leaks(artifact.uri, found)
        for split, outcome in splits.items():
            if outcome.set_aside:
                _LOG.warning(
                    "%d of the %d examples of split %s can't be used and were set aside: %s",
                    len(outcome.set_aside),
                    outcome.read,
                    split,
                    os.path.join(artifact.uri, quarantine.FOLDER),
                )
            artifact.set_int_custom_property(f"{split}_examples", len(outcome.good))
            artifact.set_int_custom_property(f"{split}_set_aside", len(outcome.set_aside))
        for split in (schema.VALIDATION, schema.TEST):
            count = sum(leak.split == split for leak in found)
            artifact.set_int_custom_property(f"{split}_in_train", count)
