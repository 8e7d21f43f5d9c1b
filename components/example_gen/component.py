"""The TfdsExampleGen component."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.common import provenance, schema
from components.example_gen.config import DatasetConfig
from components.example_gen.driver import Driver
from components.example_gen.executor import Executor


class TfdsExampleGenSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of TfdsExampleGen."""

    PARAMETERS = {
        "dataset": component_spec.ExecutionParameter(type=str),
        "classes": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
        # Set by the driver at run time.
        "identity": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class TfdsExampleGen(base_beam_component.BaseBeamComponent):
    """Writes the examples of a TFDS dataset, encoded as they are, split by split.

    Every example is decoded once on the way, so that a picture or mask that
    can't be used is found here, by name, and not after hours of training.

    Args:
      dataset: which dataset, splits and features.
      classes: the values that a mask may have.
    """

    SPEC_CLASS = TfdsExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, dataset: DatasetConfig, classes: schema.ClassTable) -> None:
        super().__init__(
            TfdsExampleGenSpec(
                dataset=dataset.model_dump_json(),
                classes=classes.model_dump_json(),
                code=provenance.source_fingerprint("example_gen", "datasets"),
                examples=types.Channel(type=standard_artifacts.Examples),
            )
        )
