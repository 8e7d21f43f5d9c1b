"""Finds out what the dataset is before TFX decides whether the step is cached."""

from __future__ import annotations

import copy

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from components.example_gen import dataset
from components.example_gen.config import DatasetConfig


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the dataset's identity to the execution properties and the artifact.

    The execution properties are part of the cache key: a changed dataset runs
    the step again, an unchanged one does not. (Both base classes are needed: the
    compiler asks for the first, the launcher for the second.)
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Opens the dataset (downloading it where needed), checks it, identifies it."""
        config = DatasetConfig.model_validate_json(execution_info.exec_properties["dataset"])
        builder = dataset.open_dataset(config)
        dataset.check_features(builder, config)
        identity = dataset.identify(builder, config)

        output = driver_output_pb2.DriverOutput()
        properties = {**execution_info.exec_properties, "identity": identity.to_json()}
        for key, value in properties.items():
            if value is not None:
                data_types_utils.set_metadata_value(output.exec_properties[key], value)
        artifact = copy.deepcopy(execution_info.output_dict["examples"][0].mlmd_artifact)
        for key, value in identity.properties().items():
            data_types_utils.set_metadata_value(artifact.custom_properties[key], value)
        output.output_artifacts["examples"].artifacts.append(artifact)
        return output
