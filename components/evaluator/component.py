"""TFX's Evaluator, whose artifacts say in ML Metadata what came out."""

from __future__ import annotations

import math
from typing import Any

from tfx import types
from tfx.components import Evaluator
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from components.evaluator.verdict import read_verdict


class Executor(tfx_executor.Executor):
    """Evaluates as TFX does, then writes the outcome on the artifacts.

    The evaluation gets the metrics of the whole split as custom properties (NaN is
    left out, and so are the differences to a baseline, which are no property of the
    model), the blessing the reason: who asks ML Metadata needs neither TFMA nor the
    files.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates one model."""
        super().Do(input_dict, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        verdict = read_verdict(evaluation.uri)
        for name, value in verdict.overall.items():
            if not math.isnan(value) and not name.endswith("_diff"):
                evaluation.set_float_custom_property(name, value)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        reasons = verdict.failures or verdict.checks
        blessing.set_string_custom_property("reason", "; ".join(str(check) for check in reasons))


class SegmentationEvaluator(Evaluator):
    """The Evaluator with that executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
