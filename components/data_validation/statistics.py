"""TFX's StatisticsGen: its options, and whether it has seen all examples."""

from __future__ import annotations

import os
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components import StatisticsGen
from tfx.components.statistics_gen import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from components.common import beam_engine, counts, schema


class Executor(beam_engine.EngineExecutor, tfx_executor.Executor):
    """Makes the statistics as TFX does, then counts."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Makes the statistics of all splits.

        Raises:
          UserError: not all examples went into them.
        """
        super().Do(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        statistics = artifact_utils.get_single_instance(output_dict["statistics"])
        for split in artifact_utils.decode_split_names(statistics.split_names):
            uri = artifact_utils.get_split_uri([statistics], split)
            path = os.path.join(uri, tfx_executor.DEFAULT_FILE_NAME)
            (found,) = tfdv.load_stats_binary(path).datasets
            counts.check_count(
                f"examples of split {split} are in the statistics",
                found.num_examples,
                counts.count_examples(examples, split),
            )


class CompleteStatisticsGen(StatisticsGen):
    """StatisticsGen with that executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def statistics_options() -> tfdv.StatsOptions:
    """Statistics that treat pictures as bytes, not as words.

    Without it TFDV keeps every encoded picture as a distinct "string value": it
    takes the memory of the whole dataset, and the inferred schema of a small
    dataset lists its ids as the only ones allowed.
    """
    described = schema_pb2.Schema()
    for name in schema.ENCODED_FEATURES:
        feature = described.feature.add(name=name, type=schema_pb2.BYTES)
        feature.image_domain.SetInParent()
    return tfdv.StatsOptions(schema=described)
