"""TFX's Evaluator, whose artifacts say in ML Metadata what came out."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components import Evaluator
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.common import beam_engine, counts, schema
from components.common.model_card import read_card
from components.common.reliability import temperature_of
from components.evaluator.eval_config import eval_settings
from components.evaluator.verdict import Verdict, read_verdict


class Executor(beam_engine.EngineExecutor, tfx_executor.Executor):
    """Evaluates as TFX does, counts the pictures, then writes the outcome on the artifacts.

    The evaluation gets the metrics of the whole split as custom properties (NaN is
    left out, and so are the differences to a baseline, which are no property of the
    model) and the model's temperature, the blessing the reason: who asks ML Metadata
    needs neither TFMA nor the files.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates one model.

        Raises:
          UserError: not all pictures of the split were evaluated.
        """
        super().Do(input_dict, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        verdict = read_verdict(evaluation.uri)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        for split in json.loads(exec_properties["example_splits"]):
            check_pictures(verdict, split, counts.count_examples(examples, split))
        for name, value in verdict.overall.items():
            if not math.isnan(value) and not name.endswith("_diff"):
                evaluation.set_float_custom_property(name, value)
        model = artifact_utils.get_single_instance(input_dict["model"])
        with contextlib.suppress(ValueError):  # of another maker, without a card
            temperature = temperature_of(read_card(path_utils.serving_model_path(model.uri)))
            if temperature is not None:
                evaluation.set_string_custom_property(schema.TEMPERATURE, f"{temperature}")
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        reasons = verdict.failures or verdict.checks
        blessing.set_string_custom_property("reason", "; ".join(str(check) for check in reasons))
        config = json_format.Parse(exec_properties["eval_config"], config_pb2.EvalConfig())
        blessing.set_string_custom_property(schema.EVALUATED_AT, eval_settings(config).at)


def check_pictures(verdict: Verdict, split: str, expected: int) -> None:
    """Makes sure that no picture of the split, and no slice, got lost.

    Args:
      verdict: of the evaluation.
      split: its name.
      expected: how many pictures it has.

    Raises:
      UserError: some did.
    """
    totals: dict[tuple[str, ...], int] = {}
    for key, values in verdict.metrics.items():
        features = tuple(feature for feature, _ in key)
        totals[features] = totals.get(features, 0) + int(values[schema.EXAMPLE_COUNT])
    for features, total in totals.items():
        slices = f" by {' and '.join(features)}" if features else ""
        counts.check_count(f"pictures of split {split} were evaluated{slices}", total, expected)


class SegmentationEvaluator(Evaluator):
    """The Evaluator with that executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
