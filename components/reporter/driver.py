"""Asks ML Metadata for the lineage, which an executor has no way to."""

from __future__ import annotations

import dataclasses

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from components.common import lineage


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the lineage of the inputs to the execution properties.

    Those are part of the cache key. The lineage of cached inputs is that of their
    making, so in a run where nothing has changed it is the same text.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Reads the graph."""
        ids = [
            artifact.id
            for artifacts in execution_info.input_dict.values()
            for artifact in artifacts
        ]
        with self._mlmd_connection as connection:
            graph = lineage.upstream(connection.store, ids)
        # How the making runs went on afterwards is no part of what made the model.
        runs = {
            run_id: dataclasses.replace(record, ended=0, outcome="", error="")
            for run_id, record in graph.runs.items()
        }
        properties = {
            **execution_info.exec_properties,
            "lineage": dataclasses.replace(graph, runs=runs).to_json(),
        }
        output = driver_output_pb2.DriverOutput()
        for key, value in properties.items():
            if value is not None:
                data_types_utils.set_metadata_value(output.exec_properties[key], value)
        return output
