"""ExampleGen's Beam pipeline, and what is checked once all files are there."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from tfx import types
from tfx.types import artifact_utils

from components.common import beam_engine, counts, cpus, schema
from components.example_gen import attempts, leaks, leave_out, quarantine, rounds
from components.example_gen.config import DatasetConfig
from components.example_gen.dataset import (
    DatasetIdentity,
    check_features,
    identify,
    open_dataset,
)
from components.example_gen.shards import Shard, WriteShards, plan_shards, plan_work

_LOG = logging.getLogger("segline.example_gen")


def _publish(
    artifact_uri: str, shards: list[Shard], totals: dict[str, int], repeats: bool
) -> dict[str, quarantine.Outcome]:
    """Gives the output files their names.

    Args:
      artifact_uri: of the examples.
      shards: the output files.
      totals: examples of each split, as the dataset tells.
      repeats: whether ids can repeat: TFDS's own can't.

    Returns:
      What became of each split's examples; those with an id seen before are set aside.

    Raises:
      RuntimeError: a file or an example was lost, whatever the engine says.
    """
    splits, chosen = {}, []
    for split in schema.SPLITS:
        paths = [shard.path for shard in shards if shard.split == split]
        of_split, outcomes = attempts.choose(artifact_uri, paths)
        if repeats:
            files = [(attempt.records, attempt.aside) for attempt in of_split]
            quarantine.set_repeated_aside(files, outcomes)
        splits[split] = quarantine.merge(outcomes)
        if splits[split].read != totals[split]:
            raise RuntimeError(
                f"split {split}: {splits[split].read} examples were read, the dataset has "
                f"{totals[split]}"
            )
        chosen += of_split
    attempts.publish(artifact_uri, chosen)
    return splits


def _find_leaks(splits: dict[str, quarantine.Outcome], config: DatasetConfig) -> list[leaks.Leak]:
    """Pictures that are in the training split too; told in the log.

    Raises:
      UserError: there are too many.
    """
    pairs = {split: _with_hashes(outcome) for split, outcome in splits.items()}
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


def _with_hashes(outcome: quarantine.Outcome) -> list[tuple[str, str]]:
    return list(zip(outcome.good, outcome.hashes, strict=True))


def _tell_left_out(splits: dict[str, quarantine.Outcome], config: DatasetConfig) -> None:
    """Says in the log what `dataset.leave_out` has come to.

    Raises:
      UserError: it is a list of other data.
    """
    if not config.leave_out:
        return
    found = [name for outcome in splits.values() for name in outcome.left_out]
    missing = leave_out.unknown(leave_out.read_leave_out(config.leave_out), found)
    _LOG.warning("%d examples are left out, as %s says", len(found), config.leave_out)
    if missing:
        _LOG.warning(
            "%s names %d examples that no split has, such as: %s",
            config.leave_out,
            len(missing),
            missing[0],
        )


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


class Executor(beam_engine.EngineExecutor):
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
        attempts.open_folder(artifact.uri)

        shards = plan_shards(identity, config, uris)
        work = plan_work(shards, self._local_workers())
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(work, reshuffle=False)
                | "SpreadOverWorkers" >> beam.Reshuffle()
                | "WriteShards" >> beam.ParDo(WriteShards(identity.data_path, config, classes))
            )
        repeats = config.features.example_id is not None
        if config.bands:  # whoever looks at a picture needs them
            artifact.set_string_custom_property(schema.BANDS, config.bands.model_dump_json())
        splits = _publish(artifact.uri, shards, identity.splits, repeats)
        quarantine.check(splits, config.bad_examples)
        _tell_left_out(splits, config)
        quarantine.write_report(artifact.uri, splits)
        if counts_by_round := rounds.write_rounds(artifact.uri, splits):
            artifact.set_string_custom_property(rounds.COUNTS, json.dumps(counts_by_round))
        found = _find_leaks(splits, config)
        leaks.write_leaks(artifact.uri, found)
        train = _with_hashes(splits[schema.TRAIN])
        leaks.write_alike(artifact.uri, leaks.find_alike(train, config.leaks.distance))
        for split, outcome in splits.items():
            if outcome.set_aside:
                _LOG.warning(
                    "%d of the %d examples of split %s can't be used and were set aside: %s",
                    len(outcome.set_aside),
                    outcome.read,
                    split,
                    os.path.join(artifact.uri, quarantine.FOLDER),
                )
            artifact.set_int_custom_property(counts.examples_property(split), len(outcome.good))
            artifact.set_int_custom_property(f"{split}_set_aside", len(outcome.set_aside))
            if config.leave_out:
                artifact.set_int_custom_property(f"{split}_left_out", len(outcome.left_out))
        for split in (schema.VALIDATION, schema.TEST):
            count = sum(leak.split == split for leak in found)
            artifact.set_int_custom_property(f"{split}_in_train", count)

    def _local_workers(self) -> int | None:
        """How many workers Beam has on this machine; None: they are on others."""
        options = PipelineOptions(self._beam_pipeline_args)
        if options.view_as(StandardOptions).runner not in (None, "DirectRunner"):
            return None
        return options.view_as(DirectOptions).direct_num_workers or cpus.usable_cpus()
