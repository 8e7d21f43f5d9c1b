"""The ServingValidator component."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.common import provenance
from components.infra_validator.config import InfraValidatorConfig
from components.infra_validator.executor import Executor


class ServingValidatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of ServingValidator."""

    PARAMETERS = {
        "config": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}


class ServingValidator(base_component.BaseComponent):
    """Finds out, in a clean process with TensorFlow only, whether a model can be served.

    It takes the place of TFX's InfraValidator, which needs Docker or Kubernetes, and
    gives the same artifact. It looks closer: at types, shapes, values, and whether
    what is served is what was evaluated.

    Args:
      model: the exported model.
      examples: where requests are made from.
      split: which split of them.
      config: limits.
    """

    SPEC_CLASS = ServingValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        split: str,
        config: InfraValidatorConfig,
    ) -> None:
        super().__init__(
            ServingValidatorSpec(
                model=model,
                examples=examples,
                split=split,
                config=config.model_dump_json(),
                code=provenance.source_fingerprint("infra_validator"),
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
