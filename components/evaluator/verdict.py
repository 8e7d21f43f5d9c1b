"""Reads an evaluation back: the metrics, and what decided about the blessing."""

from __future__ import annotations

import dataclasses
import math

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import validation_result_pb2

# What TFMA calls the evaluated model where there is a baseline beside it.
_CANDIDATE = "candidate"
_OVERALL = ()

Slice = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Check:
    """One threshold and how the model stood to it.

    Attributes:
      metric: metric name, such as `iou_border`.
      slice: (feature, value) pairs; empty for the whole split.
      value: the model's value; for a change, its difference to the baseline's.
      bound: the smallest value allowed.
      change: whether it is about the change against the baseline.
      passed: whether the model may pass.
    """

    metric: str
    slice: Slice
    value: float
    bound: float
    change: bool
    passed: bool

    def __str__(self) -> str:
        where = "".join(f" of {feature} {value}" for feature, value in self.slice)
        if self.change:
            text = f"{self.metric}{where} {self.value:+.4f} against the latest blessed model"
            limit = f"{self.bound:+.4f} is allowed"
        else:
            text = f"{self.metric}{where} {self.value:.4f}"
            limit = f"at least {self.bound:.4f} is asked for"
        if self.passed:
            return f"{text} ({limit})"
        return f"{text}: {limit}, {self.bound - self.value:.4f} short"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """An evaluation's outcome.

    Attributes:
      blessed: whether the model may be pushed.
      checks: every threshold, in the config's order.
      metrics: metric name -> value for every slice; `()` is the whole split.
    """

    blessed: bool
    checks: tuple[Check, ...]
    metrics: dict[Slice, dict[str, float]]

    @property
    def overall(self) -> dict[str, float]:
        """Metrics of the whole split."""
        return self.metrics[_OVERALL]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The thresholds that were missed."""
        return tuple(check for check in self.checks if not check.passed)


def read_verdict(evaluation_uri: str) -> Verdict:
    """Reads the folder that the Evaluator wrote.

    Args:
      evaluation_uri: URI of the ModelEvaluation artifact.

    Returns:
      The metrics and what decided.
    """
    result = tfma.load_eval_result(evaluation_uri)
    if _has_baseline(result.config):
        result = tfma.load_eval_result(evaluation_uri, model_name=_CANDIDATE)
    metrics = {
        tuple(sorted((feature, str(value)) for feature, value in key)): {
            name: value["doubleValue"]
            for name, value in outputs[""][""].items()
            if "doubleValue" in value
        }
        for key, outputs in result.slicing_metrics
    }
    validation = tfma.load_validation_result(evaluation_uri)
    return Verdict(
        blessed=validation.validation_ok,
        checks=tuple(_checks(result.config, metrics, validation)),
        metrics=metrics,
    )


def _has_baseline(config: tfma.EvalConfig) -> bool:
    return any(spec.is_baseline for spec in config.model_specs)


def _checks(
    config: tfma.EvalConfig,
    metrics: dict[Slice, dict[str, float]],
    validation: validation_result_pb2.ValidationResult,
) -> list[Check]:
    """The whole split's thresholds beside the values that TFMA held against them."""
    missed = {
        (failure.metric_key.name, failure.metric_threshold.HasField("change_threshold"))
        for part in validation.metric_validations_per_slice
        for failure in part.failures
    }
    has_baseline = _has_baseline(config)
    candidate = _CANDIDATE if has_baseline else ""
    thresholds = metric_specs.metric_thresholds_from_metrics_specs(
        config.metrics_specs, eval_config=config
    )
    checks = []
    for key, bounds in thresholds.items():
        if key.model_name != candidate or key.is_diff and not has_baseline:
            continue
        for _, threshold in bounds:
            value = metrics[_OVERALL].get(f"{key.name}_diff" if key.is_diff else key.name)
            checks.append(
                Check(
                    metric=key.name,
                    slice=_OVERALL,
                    value=math.nan if value is None else value,
                    bound=threshold.absolute.value if key.is_diff else threshold.lower_bound.value,
                    change=key.is_diff,
                    passed=(key.name, key.is_diff) not in missed,
                )
            )
    return checks
