"""TFMA's EvalConfig from ours."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tensorflow_model_analysis as tfma

from components import provenance, schema
from components.evaluator import metrics
from components.evaluator.config import EvaluatorConfig


def make_eval_config(
    config: EvaluatorConfig, classes: schema.ClassTable, slice_by: Sequence[str]
) -> tfma.EvalConfig:
    """Which signature is called, which metrics are computed, which slices, which thresholds.

    Args:
      config: thresholds.
      classes: the classes, in order.
      slice_by: features to slice by, one at a time, besides the whole split.

    Returns:
      TFMA's configuration, for a candidate and a baseline model.
    """
    thresholds = {
        schema.MEAN_IOU: _whole_split(
            tfma.MetricThreshold(
                value_threshold=_floor(config.min_mean_iou),
                change_threshold=tfma.GenericChangeThreshold(
                    direction=tfma.MetricDirection.HIGHER_IS_BETTER,
                    absolute={"value": -config.max_drop},
                ),
            )
        )
    }
    for name, floor in config.min_class_iou.items():
        thresholds[schema.class_metric("iou", name)] = _whole_split(
            tfma.MetricThreshold(value_threshold=_floor(floor))
        )
    metric = tfma.MetricConfig(
        class_name=metrics.SegmentationMetrics.__name__,
        module=metrics.__name__,
        # The Evaluator has no place of its own for what makes its cache key.
        config=json.dumps(
            {"class_names": classes.names, "code": provenance.source_fingerprint("evaluator")}
        ),
    )
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=schema.EVALUATE_SIGNATURE)],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[tfma.MetricConfig(class_name="ExampleCount"), metric],
                per_slice_thresholds=thresholds,
            )
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            *(tfma.SlicingSpec(feature_keys=[name]) for name in slice_by),
        ],
    )


def _whole_split(threshold: tfma.MetricThreshold) -> tfma.PerSliceMetricThresholds:
    # A threshold without a slicing spec would hold for every slice.
    return tfma.PerSliceMetricThresholds(
        thresholds=[
            tfma.PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec()], threshold=threshold)
        ]
    )


def _floor(value: float) -> tfma.GenericValueThreshold:
    return tfma.GenericValueThreshold(lower_bound={"value": value})
