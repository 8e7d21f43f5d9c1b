"""From a TFDS dataset to TFRecord files of tf.Examples.

The unit of work is a few output files that follow one another: a worker reads their part of
the split in TFDS's own order and writes it out. There is no shuffle between workers, so the
order of the examples and the bytes of the files are the same on every run, whoever wrote
them, and memory does not grow with the dataset.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds

from components.common import schema
from components.example_gen import attempts, quarantine
from components.example_gen.config import DatasetConfig
from components.example_gen.dataset import DatasetIdentity
from components.example_gen.encoding import Element, Encoded, ExampleEncoder
from components.example_gen.leave_out import key_of, read_leave_out

_AT_A_TIME = 32  # examples
_LARGE_AT_A_TIME = 4  # whose pictures are not compressed
_UNITS_PER_WORKER = 4  # so that none waits long for the last


@dataclasses.dataclass(frozen=True)
class Shard:
    """One output file and the part of a split that goes into it."""

    split: str
    expression: str
    index: int
    count: int
    path: str

    @property
    def part(self) -> tfds.typing.SplitArg:
        """The part of the split, for TFDS."""
        return tfds.even_splits(self.expression, n=self.count)[self.index]


class WriteShards(beam.DoFn):
    """Writes shards that follow one another, reads them back, and yields their paths.

    It writes an attempt at each (attempts.py): an engine may have several workers do the same.

    To open a part of a dataset takes TFDS as long as to read a few hundred examples, so that
    it is worth while to write several files from one.

    Args:
      data_path: folder of the prepared TFDS dataset.
      config: which features are taken.
      classes: the values that a mask may have.
    """

    def __init__(self, data_path: str, config: DatasetConfig, classes: schema.ClassTable) -> None:
        self._data_path = data_path
        self._config = config
        self._classes = classes
        self._left_out = read_leave_out(config.leave_out)  # here: workers may not see the file

    def setup(self) -> None:
        """Opens the dataset, once a worker."""
        self._builder = tfds.builder_from_directory(self._data_path)
        self._encoder = ExampleEncoder(self._builder.info.features, self._config, self._classes)

    def process(self, shards: Sequence[Shard]) -> Iterator[str]:
        """Writes them; what was written is what was read, or nobody takes it for an attempt."""
        encoded = self._encode(functools.reduce(operator.add, [one.part for one in shards]))
        expected = [self._builder.info.splits[one.part].num_examples for one in shards]
        begun = [attempts.begin(shard.path) for shard in shards]
        outcomes = [
            self._write(attempt, itertools.islice(encoded, count))
            for attempt, count in zip(begun, expected, strict=True)
        ]
        left = sum(1 for _ in encoded)
        read = sum(outcome.read for outcome in outcomes) + left
        written = sum(len(outcome.good) for outcome in outcomes)
        files = tf.data.TFRecordDataset([attempt.records for attempt in begun], "GZIP")
        found = sum(len(batch) for batch in files.batch(_AT_A_TIME))
        if read != sum(expected) or found != written:
            raise RuntimeError(
                f"{shards[0].path} and the {len(shards) - 1} after it: TFDS counts "
                f"{sum(expected)} examples, {read} were read; {written} were written, {found} "
                "can be read back"
            )
        for attempt, outcome in zip(begun, outcomes, strict=True):
            attempt.commit(outcome)
            yield attempt.path

    def _encode(self, part: tfds.typing.SplitArg) -> Iterator[tuple[Element, Encoded]]:
        dataset = self._builder.as_dataset(
            split=part,
            decoders=self._encoder.decoders,
            # One file after the other: the order must not depend on timing.
            read_config=tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1),
            shuffle_files=False,
        )
        # The next batch is decoded, which needs no Python, while this one is written.
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead = None
            count = _LARGE_AT_A_TIME if self._config.bands else _AT_A_TIME
            for batch in dataset.batch(count).as_numpy_iterator():
                elements = [
                    dict(zip(batch, one, strict=True)) for one in zip(*batch.values(), strict=True)
                ]
                this, ahead = ahead, (elements, pool.submit(self._encoder.encode, elements))
                if this:
                    yield from zip(this[0], this[1].result(), strict=True)
            if ahead:
                yield from zip(ahead[0], ahead[1].result(), strict=True)

    def _write(
        self, attempt: attempts.Attempt, encoded: Iterator[tuple[Element, Encoded]]
    ) -> quarantine.Outcome:
        outcome, aside = quarantine.Outcome(), []
        with tf.io.TFRecordWriter(attempt.records, quarantine.RECORD_OPTIONS) as writer:
            for element, result in encoded:
                example_id = self._encoder.id_of(element)
                name = example_id.decode(errors="replace")
                outcome.read += 1
                if key_of(name) in self._left_out:
                    outcome.left_out.append(name)
                elif result.problem:
                    outcome.set_aside.append(quarantine.SetAside(name, result.problem))
                    parts = self._encoder.parts_of(element)
                    aside.append(quarantine.to_record(*parts, example_id, result.problem))
                else:
                    writer.write(result.record)
                    outcome.good.append(name)
                    outcome.hashes.append(result.picture_hash)
                    outcome.rounds.append(self._encoder.round_of(element))
                    outcome.pixels.append(dict(result.pixels))
        attempt.set_aside(aside)
        return outcome


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


def plan_work(shards: Sequence[Shard], workers: int | None) -> list[list[Shard]]:
    """Groups shards of a split that follow one another: each group is a worker's unit of work.

    Args:
      shards: from `plan_shards`.
      workers: how many there are; None: many, each shard is a unit.
    """
    most = max(1, len(shards) // (_UNITS_PER_WORKER * workers)) if workers else 1
    units = []
    for _, group in itertools.groupby(shards, lambda shard: shard.split):
        of_split = list(group)
        units += [of_split[start : start + most] for start in range(0, len(of_split), most)]
    return units
