"""The Exporter component."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.common import provenance
from components.common.export_config import ExportConfig
from components.common.model_exports import ModelExport
from components.exporter.executor import Executor


class ExporterSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of Exporter."""

    PARAMETERS = {
        "wanted": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "at": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {"exports": component_spec.ChannelParameter(type=ModelExport)}


class Exporter(base_component.BaseComponent):
    """Makes files for devices of a blessed model, and judges each as the model was judged.

    One step for all of them, so that the SavedModel, which they are held against, is run once.
    Each is an artifact of its own in the one output.

    Args:
      model: the exported model.
      examples: training pictures to calibrate on, and the evaluated split.
      model_blessing: the Evaluator's; of a model that is not blessed nothing is made.
      exports: what is wanted.
      split: the evaluated split.
      at: the size at which pixels are counted, as `evaluator.at` has it.
    """

    SPEC_CLASS = ExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        model_blessing: types.BaseChannel,
        exports: Sequence[ExportConfig],
        split: str,
        at: str,
    ) -> None:
        super().__init__(
            ExporterSpec(
                model=model,
                examples=examples,
                model_blessing=model_blessing,
                wanted=json.dumps([one.model_dump(mode="json") for one in exports]),
                split=split,
                at=at,
                code=provenance.source_fingerprint("exporter"),
                exports=types.Channel(type=ModelExport),
            )
        )
