"""The Reporter component."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.common import provenance
from components.common.model_exports import ModelExport
from components.reporter.driver import Driver
from components.reporter.executor import Executor


class HtmlReport(types.Artifact):
    """A page for people: `report.html` in the artifact's folder."""

    TYPE_NAME = "HtmlReport"


class ReporterSpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of Reporter."""

    PARAMETERS = {
        "pipeline": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
        "decisions": component_spec.ExecutionParameter(type=str),
        # Set by the driver at run time.
        "lineage": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "drift": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies, optional=True
        ),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
        "exports": component_spec.ChannelParameter(type=ModelExport, optional=True),
        "pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {"report": component_spec.ChannelParameter(type=HtmlReport)}


class Reporter(base_component.BaseComponent):
    """Makes one self-contained HTML page of a run: last in the chain.

    In a run where nothing has changed it is cached, and its report that of the run
    that made the model.

    Args:
      pipeline: name of the pipeline, for the title.
      decisions: of `segline init`, from the config.
      **inputs: a channel for each input.
    """

    SPEC_CLASS = ReporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self, pipeline: str, decisions: Sequence[str], **inputs: types.BaseChannel
    ) -> None:
        code = provenance.source_fingerprint(
            # It reads and draws with what those packages offer for it.
            *("reporter", "example_gen", "data_validation", "trainer", "evaluator"),
            *("infra_validator", "exporter"),
        )
        super().__init__(
            ReporterSpec(
                pipeline=pipeline,
                code=code,
                decisions=json.dumps(list(decisions)),
                report=types.Channel(type=HtmlReport),
                **inputs,
            )
        )
