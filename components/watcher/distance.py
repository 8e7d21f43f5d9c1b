"""How far apart two sets of numbers are, by TensorFlow Data Validation's comparator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

BUCKETS = 10  # as TFDV's own statistics have: StatsOptions.num_histogram_buckets


def divergences(
    before: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The Jensen-Shannon divergence of each feature, as the drift check of a run has it.

    Args:
      before: feature -> numbers [n], finite, at least one.
      now: likewise, the same features.

    Returns:
      feature -> 0 (the same) to 1 (nothing in common).
    """
    described = schema_pb2.Schema()
    for name in before:
        feature = described.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1
    found = tfdv.validate_statistics(
        statistics_of(now), described, previous_statistics=statistics_of(before)
    )
    return {info.path.step[0]: info.drift_measurements[0].value for info in found.drift_skew_info}


def statistics_of(columns: Mapping[str, np.ndarray]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The histograms that TFDV would make of some numbers, in a hundredth of its time.

    Args:
      columns: feature -> numbers [n], finite, at least one.
    """
    result = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = result.datasets.add(num_examples=max(map(len, columns.values()), default=0))
    for name, values in columns.items():
        feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
        feature.path.step.append(name)
        numbers = feature.num_stats
        numbers.common_stats.num_non_missing = numbers.common_stats.tot_num_values = len(values)
        numbers.common_stats.min_num_values = numbers.common_stats.max_num_values = 1
        numbers.min, numbers.max = float(values.min()), float(values.max())
        one = numbers.min == numbers.max
        counts, edges = np.histogram(
            values, 1 if one else BUCKETS, range=(numbers.min, numbers.max)
        )
        edges = np.array([numbers.min, numbers.max]) if one else edges
        histogram = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return result
