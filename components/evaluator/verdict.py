"""Reads an evaluation back: the metrics, and what decided about the blessing."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2

from components.common import schema
from components.evaluator import calibration
from components.evaluator.config import At
from components.evaluator.eval_config import eval_settings
from components.evaluator.ranking import Ranking

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
        where = f" of {slice_name(self.slice)}" if self.slice else ""
        if self.metric == schema.PREDICTED_CLASSES:
            text = f"{self.value:.0f} classes are predicted"
            if self.passed:
                return text
            return (
                "it predicts one and the same class for every pixel of every picture"
                if self.value == 1
                else text
            )
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
      checks: every threshold that counted; those of the whole split come first.
      metrics: metric name -> value for every slice; `()` is the whole split. The
        names that end in `_diff` hold the difference to the baseline's value.
      matrix: int64 [C, C] pixel counts of the whole split; rows are the truth.
      ranking: the best, the median and the worst pictures.
      at: the size at which pixels were counted: the model's, or each picture's own.
      reliability: int64 [BINS, 3] of the whole split, as `reliability.count_bins` counts; None:
        it was not counted yet.
    """

    blessed: bool
    checks: tuple[Check, ...]
    metrics: dict[Slice, dict[str, float]]
    matrix: np.ndarray
    ranking: Ranking
    at: At = "model"
    reliability: np.ndarray | None = None

    @property
    def overall(self) -> dict[str, float]:
        """Metrics of the whole split."""
        return self.metrics[_OVERALL]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The thresholds that were missed."""
        return tuple(check for check in self.checks if not check.passed)

    def deciding_lines(self) -> list[tuple[bool, str]]:
        """(passed, text): the checks of the whole split, and each slice that fell too far."""
        lines = [(check.passed, str(check)) for check in self.checks if not check.slice]
        slices = [check for check in self.checks if check.slice]
        failed = [check for check in slices if not check.passed]
        lines += [(False, str(check)) for check in failed]
        if slices and not failed:
            worst = min(slices, key=lambda check: check.value)
            lines.append((True, f"no slice fell too far; the worst of {len(slices)}: {worst}"))
        return lines


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
        _slice_of(key): {
            name: float(value["doubleValue"])  # NaN comes as text
            for name, value in outputs[""][""].items()
            if "doubleValue" in value
        }
        for key, outputs in result.slicing_metrics
    }
    whole = next(outputs[""][""] for key, outputs in result.slicing_metrics if not key)
    ranking = Ranking.from_json(_bytes(whole[schema.RANKED_PICTURES]))
    validation = tfma.load_validation_result(evaluation_uri)
    checks = tuple(_checks(result.config, metrics, validation))
    for values in metrics.values():  # has served its purpose
        for suffix in ("", "_diff"):
            values.pop(schema.GUARDED_MEAN_IOU + suffix, None)
    settings = eval_settings(result.config)
    reliability = None
    if schema.RELIABILITY in whole:  # not where an earlier version of segline has evaluated
        reliability = calibration.from_bytes(_bytes(whole[schema.RELIABILITY]))
    return Verdict(
        validation.validation_ok,
        checks,
        metrics,
        _confusion_matrix(result, len(settings.class_names)),
        ranking,
        settings.at,
        reliability,
    )


def _bytes(value: dict[str, Any]) -> bytes:
    return base64.b64decode(value["bytesValue"])


def _confusion_matrix(result: tfma.EvalResult, num_classes: int) -> np.ndarray:
    """The plot of the whole split, as TFMA keeps it: zeros are left out."""
    plots = next(outputs[""][""] for key, outputs in result.plots if not key)
    (cells,) = plots["multiClassConfusionMatrixAtThresholds"]["matrices"]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for entry in cells["entries"]:
        cell = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        matrix[cell] = entry.get("numWeightedExamples", 0)
    return matrix


def slice_name(key: Slice) -> str:
    """For people: `species cat`."""
    return ", ".join(f"{feature} {value}" for feature, value in key)


def _slice_of(key: Iterable[tuple[str, Any]]) -> Slice:
    return tuple(sorted((feature, str(value)) for feature, value in key))


def _has_baseline(config: config_pb2.EvalConfig) -> bool:
    return any(spec.is_baseline for spec in config.model_specs)


def _checks(
    config: config_pb2.EvalConfig,
    metrics: dict[Slice, dict[str, float]],
    validation: validation_result_pb2.ValidationResult,
) -> list[Check]:
    """All thresholds beside the values that TFMA held against them, slice by slice.

    Slices with too few pictures for a check of their own are left out.
    """
    missed = {
        (
            _slice_of(tfma.slicer.deserialize_slice_key(part.slice_key)),
            failure.metric_key.name,
            failure.metric_threshold.HasField("change_threshold"),
        )
        for part in validation.metric_validations_per_slice
        for failure in part.failures
    }
    has_baseline = _has_baseline(config)
    candidate = _CANDIDATE if has_baseline else ""
    settings = eval_settings(config)
    thresholds = metric_specs.metric_thresholds_from_metrics_specs(
        config.metrics_specs, eval_config=config
    )
    checks = []
    for key, bounds in thresholds.items():
        if key.model_name != candidate or key.is_diff and not has_baseline:
            continue
        for spec, threshold in bounds:
            for slice_, values in metrics.items():
                if {feature for feature, _ in slice_} != set(spec.feature_keys):
                    continue
                guarded = key.name == schema.GUARDED_MEAN_IOU
                if guarded and values[schema.EXAMPLE_COUNT] < settings.min_slice_examples:
                    continue
                bound = threshold.absolute if key.is_diff else threshold.lower_bound
                checks.append(
                    Check(
                        metric=schema.MEAN_IOU if guarded else key.name,
                        slice=slice_,
                        value=values.get(f"{key.name}_diff" if key.is_diff else key.name, math.nan),
                        bound=bound.value,
                        change=key.is_diff,
                        passed=(slice_, key.name, key.is_diff) not in missed,
                    )
                )
    order = [schema.MEAN_IOU, *(schema.class_metric("iou", name) for name in settings.class_names)]
    order.append(schema.PREDICTED_CLASSES)
    return sorted(
        checks, key=lambda check: (bool(check.slice), order.index(check.metric), check.change)
    )
