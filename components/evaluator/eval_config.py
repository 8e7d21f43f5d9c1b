"""TFMA's EvalConfig from ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from components.common import provenance, schema
from components.evaluator import metrics
from components.evaluator.config import At, EvaluatorConfig, ObjectSizeConfig

# By the size at which pixels are counted: `evaluator.at`.
SIGNATURES: dict[At, str] = {
    "model": schema.EVALUATE_SIGNATURE,
    "picture": schema.EVALUATE_AT_PICTURE_SIGNATURE,
}


def make_eval_config(
    config: EvaluatorConfig, classes: schema.ClassTable, slice_by: Sequence[str]
) -> config_pb2.EvalConfig:
    """Which signature is called, which metrics are computed, which slices, which thresholds.

    Args:
      config: thresholds.
      classes: the classes, in order.
      slice_by: features to slice by, one at a time, besides the whole split.

    Returns:
      TFMA's configuration, for a candidate and a baseline model.
    """
    slices = [*slice_by, *([schema.OBJECT_SIZE] if config.object_size else [])]
    thresholds = {
        schema.MEAN_IOU: [
            _threshold(
                value_threshold=_floor(config.min_mean_iou),
                change_threshold=_allowed_drop(config.max_drop),
            )
        ],
        # However low the floors are: this is no segmentation.
        schema.PREDICTED_CLASSES: [_threshold(value_threshold=_floor(2))],
    }
    for name, floor in config.min_class_iou.items():
        thresholds[schema.class_metric("iou", name)] = [_threshold(value_threshold=_floor(floor))]
    if slices:
        thresholds[schema.GUARDED_MEAN_IOU] = [
            _threshold(feature, change_threshold=_allowed_drop(config.max_slice_drop))
            for feature in slices
        ]
    settings = EvalSettings(
        class_names=classes.names,
        min_slice_examples=config.min_slice_examples,
        object_size=config.object_size,
        at=config.at,
        objects=config.objects,
        code=provenance.source_fingerprint("evaluator"),
    )
    metric = config_pb2.MetricConfig(
        class_name=metrics.SegmentationMetrics.__name__,
        module=metrics.__name__,
        config=settings.model_dump_json(),
    )
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name=SIGNATURES[config.at])],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[config_pb2.MetricConfig(class_name="ExampleCount"), metric],
                per_slice_thresholds={
                    name: config_pb2.PerSliceMetricThresholds(thresholds=per_slice)
                    for name, per_slice in thresholds.items()
                },
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[name]) for name in slices),
        ],
    )


class EvalSettings(schema.Config):
    """Settings that TFMA's EvalConfig has no place for; they travel as the metric's config.

    Attributes:
      class_names: names of the classes, by index.
      min_slice_examples: pictures that a slice needs before its drop counts.
      object_size: how slices by object size are cut, if they are.
      at: the size at which pixels are counted.
      objects: classes whose connected objects are counted.
      code: fingerprint of the source: a changed line evaluates again.
    """

    class_names: tuple[str, ...]
    min_slice_examples: int
    object_size: ObjectSizeConfig | None
    at: At = "model"
    objects: tuple[str, ...] = ()
    code: str


def eval_settings(eval_config: config_pb2.EvalConfig) -> EvalSettings:
    """Reads the settings back from what `make_eval_config` made."""
    (config,) = {
        metric.config
        for spec in eval_config.metrics_specs
        for metric in spec.metrics
        if metric.class_name == metrics.SegmentationMetrics.__name__
    }
    return EvalSettings.model_validate_json(config)


def _threshold(*features: str, **bounds: Any) -> config_pb2.PerSliceMetricThreshold:
    """For the whole split, or for every value of a feature.

    Without any slicing spec it would hold for all slices.
    """
    return config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=features)],
        threshold=config_pb2.MetricThreshold(**bounds),
    )


def _allowed_drop(drop: float) -> config_pb2.GenericChangeThreshold:
    return config_pb2.GenericChangeThreshold(
        direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -drop}
    )


def _floor(value: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(lower_bound={"value": value})
