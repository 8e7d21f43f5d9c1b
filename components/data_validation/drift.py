"""New data against that of the latest blessed model: TFX's DistributionValidator.

What is compared: the classes' shares, heights, widths and brightness, by the Jensen-Shannon
divergence of their histograms (TFDV's drift comparator).
"""

from __future__ import annotations

import logging
import os
from typing import Any

import tensorflow as tf
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.distribution_validator import executor as tfx_executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.components.common import resolver
from tfx.proto import distribution_validator_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.common import earlier_models, lineage, schema
from components.common.errors import UserError, listed

_LOG = logging.getLogger("segline.drift")
_STATISTICS_GEN = "StatisticsGen"


def comparators(
    classes: schema.ClassTable, max_divergence: float
) -> distribution_validator_pb2.DistributionValidatorConfig:
    """The features that are compared, and how far apart they may be."""
    config = distribution_validator_pb2.DistributionValidatorConfig()
    shares = [schema.share_feature(name) for name in classes.names]
    for name in (schema.HEIGHT, schema.WIDTH, schema.BRIGHTNESS, *shares):
        feature = config.default_slice_config.feature.add()
        feature.path.step.append(name)
        comparator = feature.distribution_comparator
        comparator.jensen_shannon_divergence.threshold = max_divergence
    return config


class StatisticsOfLatestModelStrategy(resolver.ResolverStrategy):
    """The statistics of the data of the latest blessed model that is of other data.

    Inputs: `examples` (Examples, of this run), `statistics`, `model` and `model_blessing`
    (all that there are). Outputs: the same keys, the last three holding the chosen ones, or
    nothing.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Chooses among the artifacts that ML Metadata knows."""
        found = earlier_models.latest_of_other_data(store, input_dict)
        examples = earlier_models.examples_of_models(store, [m.id for m in found["model"]])
        made = {
            event.artifact_id
            for artifact in examples.values()
            for event in _made_of(store, artifact.id)
        }
        statistics = [one for one in input_dict["statistics"] if one.id in made]
        latest = sorted(statistics, key=lambda one: one.id)[-1:]
        return {"examples": input_dict["examples"], "statistics": latest, **found}


def _made_of(store: MetadataStore, examples_id: int) -> list[mlmd.Event]:
    """Outputs of the StatisticsGen that has read some examples."""
    readers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([examples_id])
        if event.type == mlmd.Event.INPUT
    }
    ids = [
        execution.id
        for execution in store.get_executions_by_id(sorted(readers))
        if execution.type.endswith(_STATISTICS_GEN)  # TFX's, or ours
        and execution.last_known_state == mlmd.Execution.COMPLETE
    ]
    events = store.get_events_by_execution_ids(ids) if ids else []
    return [
        event
        for event in events
        if event.type == mlmd.Event.OUTPUT and lineage.role_of(event) == "statistics"
    ]


class Executor(tfx_executor.Executor):
    """Compares as TFX does, then tells what is too far away, or fails."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Compares every split with the same one of the baseline.

        Raises:
          UserError: lists what has drifted, where the config says that this stops the run.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        lines = read_drift(artifact.uri)
        artifact.set_string_custom_property("drift", "\n".join(lines))
        artifact.set_int_custom_property("drifted", len(lines))
        if lines and exec_properties["action"] == "stop":
            raise UserError(
                f"the data has drifted from that of the latest blessed model:\n{listed(lines)}\n"
                "Where the new data is right, raise data_validation.drift.max_divergence or set "
                "data_validation.drift.action to warn for this run."
            )
        for line in lines:
            _LOG.warning("drift from the data of the latest blessed model: %s", line)
        return result


def read_drift(uri: str) -> list[str]:
    """One line for each feature of a split that is too far away."""
    lines = []
    for split in schema.SPLITS:
        path = _anomalies_file(uri, split)
        if not tf.io.gfile.exists(path):  # there was nothing to compare with
            continue
        with tf.io.gfile.GFile(path, "rb") as file:
            anomalies = anomalies_pb2.Anomalies.FromString(file.read())
        for info in anomalies.anomaly_info.values():
            name = ".".join(info.path.step)
            lines += [f"{split}: {name}: {reason.description}" for reason in info.reason]
    return sorted(lines)


def has_baseline(uri: str) -> bool:
    """Whether there was data to compare with."""
    return any(tf.io.gfile.exists(_anomalies_file(uri, split)) for split in schema.SPLITS)


def _anomalies_file(uri: str, split: str) -> str:
    return os.path.join(uri, f"SplitPair-{split}_{split}", tfx_executor.DEFAULT_FILE_NAME)


class DriftValidatorSpec(component_spec.ComponentSpec):
    """As TFX's, with an action; the first run has no baseline."""

    PARAMETERS = {
        **standard_component_specs.DistributionValidatorSpec.PARAMETERS,
        "action": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "baseline_statistics": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
    }
    OUTPUTS = standard_component_specs.DistributionValidatorSpec.OUTPUTS


class DriftValidator(base_component.BaseComponent):
    """Warns, or stops the run, where the data is too far from the baseline's.

    Args:
      statistics: ExampleStatistics of this run.
      baseline_statistics: those to compare with; none: nothing is compared.
      config: from `comparators`.
      action: `warn` or `stop`.
    """

    SPEC_CLASS = DriftValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        statistics: types.BaseChannel,
        baseline_statistics: types.BaseChannel,
        config: distribution_validator_pb2.DistributionValidatorConfig,
        action: str,
    ) -> None:
        super().__init__(
            DriftValidatorSpec(
                statistics=statistics,
                baseline_statistics=baseline_statistics,
                distribution_validator_config=config,
                include_split_pairs=json_utils.dumps([(split, split) for split in schema.SPLITS]),
                action=action,
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
