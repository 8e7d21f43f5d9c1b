"""Builds the page from a run's artifacts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import palette, readable, schema
from components.common.lineage import Lineage
from components.evaluator.verdict import Verdict, read_verdict
from components.infra_validator.result import read_check
from components.reporter import (
    data_section,
    evaluation_section,
    exports_section,
    lineage_section,
    templates,
    training_section,
)

SAMPLES = 8


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What is known of a run besides its artifacts.

    Attributes:
      pipeline: the pipeline's name.
      run_id: TFX's id.
      problem: why the run did not get to its end; empty where it did.
      decisions: of `segline init`, from the config; empty: they are not known.
    """

    pipeline: str
    run_id: str
    problem: str = ""
    decisions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class VerdictSection:
    """What the template shows.

    Attributes:
      headline: in a few words.
      good: whether the model was pushed, or could have been.
      lines: (passed, text) for all that decided.
      scores: (label, value, change against the baseline or None).
      version: of the pushed model; empty where it was not.
      destination: where it was pushed to.
      steps: (name, text of the time, share of the longest, note) for the bars.
    """

    headline: str
    good: bool
    lines: list[tuple[bool, str]]
    scores: list[tuple[str, float, float | None]]
    version: str
    destination: str
    steps: list[tuple[str, str, float, str]]


def render(
    artifacts: Mapping[str, mlmd.Artifact],
    lineage: Lineage,
    run: RunFacts,
    exports: Sequence[mlmd.Artifact] = (),
) -> str:
    """Builds the report of a run; of a run that stopped early, of as much as there is.

    Args:
      artifacts: the run's, by name: `examples`, `statistics`, `anomalies`, `drift`, `model`,
        `model_run`, `evaluation`, `blessing`, `infra_blessing`, `pushed_model`.
      lineage: the graph of their making.
      run: the run.
      exports: its ModelExports.

    Returns:
      An HTML page that needs nothing else.

    Raises:
      ValueError: the run has no examples yet: there is nothing to report.
    """
    artifacts = dict(artifacts)
    if "examples" not in artifacts:
        raise ValueError("no examples were made")
    generator = lineage.maker(lineage.node(f"artifact-{artifacts['examples'].id}"))
    classes = schema.ClassTable.model_validate_json(str(generator.properties["classes"]))
    verdict = read_verdict(artifacts["evaluation"].uri) if "evaluation" in artifacts else None
    return templates.render(
        "report.html",
        run=run,
        date=readable.time_text(max(node.ended for node in lineage.nodes)),
        class_colors=_css_colors(classes),
        verdict=_verdict_section(artifacts, verdict, lineage, run),
        data=data_section.make(artifacts, classes, SAMPLES, run.decisions),
        training=training_section.make(artifacts),
        evaluation=evaluation_section.make(artifacts, verdict, classes, _split(lineage)),
        exports=exports_section.make(exports),
        lineage=lineage_section.make(lineage),
    )


def _verdict_section(
    artifacts: dict[str, mlmd.Artifact], verdict: Verdict | None, lineage: Lineage, run: RunFacts
) -> VerdictSection:
    infra, pushed = artifacts.get("infra_blessing"), artifacts.get("pushed_model")
    check = read_check(infra.uri) if infra else None
    properties = pushed.custom_properties if pushed else {}
    is_pushed = bool(pushed) and bool(properties["pushed"].int_value)
    servable = not infra or bool(infra.custom_properties["blessed"].int_value)
    if run.problem or verdict is None:
        headline = "The run did not get to its end"
    elif not verdict.blessed:
        headline = "Not blessed, not pushed"
    elif not servable:
        headline = "Blessed, but it can't be served: not pushed"
    else:
        headline = "Blessed and pushed" if is_pushed else "Blessed"
    lines = [(False, run.problem)] if run.problem else []
    scores = []
    if verdict:
        lines += verdict.deciding_lines()
        scores = [
            (label, verdict.overall[name], verdict.overall.get(f"{name}_diff"))
            for label, name in (
                ("mean IoU", schema.MEAN_IOU),
                ("pixel accuracy", schema.PIXEL_ACCURACY),
            )
        ]
    longest = max(step.seconds for step in lineage.executions) or 1
    return VerdictSection(
        headline=headline,
        good=headline.startswith("Blessed") and servable,
        lines=lines + (check.lines() if check else []),
        scores=scores,
        version=properties["pushed_version"].string_value if is_pushed else "",
        destination=properties["pushed_destination"].string_value if is_pushed else "",
        steps=[
            (
                step.name,
                readable.duration_text(step.seconds),
                step.seconds / longest,
                "" if step.run_id == run.run_id else f"cached from run {step.run_id}",
            )
            for step in lineage.executions
        ],
    )


def _split(lineage: Lineage) -> str:
    """The evaluated split, as the Evaluator was told."""
    for execution in lineage.executions:
        if execution.name == "Evaluator":
            (split,) = json.loads(str(execution.properties["example_splits"]))
            return split
    return schema.TEST


def _css_colors(classes: schema.ClassTable) -> dict[str, str]:
    colors = palette.class_colors(len(classes))
    return {
        name: "#{:02x}{:02x}{:02x}".format(*colors[index])
        for index, name in enumerate(classes.names)
    }
