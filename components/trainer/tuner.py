"""TFX's Tuner, whose artifact says in ML Metadata what was found."""

from __future__ import annotations

import json
from typing import Any

from tfx import types
from tfx.components import Tuner
from tfx.components.tuner import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from components.trainer import hyperparameters


class Executor(tfx_executor.Executor):
    """Searches as TFX does, then writes the outcome on the best hyperparameters.

    They become the artifact's custom properties (what is no number: as JSON), beside the
    `score` and the number of `trials` that came to their end.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs one search."""
        super().Do(input_dict, output_dict, exec_properties)
        best = artifact_utils.get_single_instance(output_dict["best_hyperparameters"])
        for name, value in hyperparameters.read(best.uri).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                best.set_float_custom_property(name, float(value))
            else:
                best.set_string_custom_property(name, json.dumps(value))
        trials = hyperparameters.read_trials(
            artifact_utils.get_single_uri(output_dict["tuner_results"])
        )
        best.set_float_custom_property("score", max(trial["score"] for trial in trials))
        best.set_int_custom_property("trials", len(trials))


class SegmentationTuner(Tuner):
    """The Tuner with that executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
