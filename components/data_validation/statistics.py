"""Options for StatisticsGen."""

from __future__ import annotations

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.common import schema


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
