"""What the owner of a pipeline is told: how a run has ended, or that requests have drifted."""

from __future__ import annotations

import dataclasses
from typing import Any

from ml_metadata import MetadataStore

from components.common import run_record, schema
from components.pusher.config import Stage
from pipeline.config.loading import PipelineConfig
from pipeline.config.notify import Event
from pipeline.metadata.artifacts import earlier_blessed, text_of
from pipeline.metadata.history import Run, list_runs

_LONGEST_REASON = 500


@dataclasses.dataclass(frozen=True)
class Notice:
    """How a run has ended, or what a watch has found.

    Attributes:
      pipeline: its name.
      run: the run's id; empty: it could not begin, or it is about no run.
      events: what has happened, most important first; empty: nothing that one would tell.
      step: which step has failed or refused; empty: none.
      reason: in one line.
      mean_iou: of the run's model; None: it was not evaluated.
      mean_iou_before: of the model that was blessed last before it; None: there is none.
      report: where the report is, or how to get it.
      stage: as what a pushed model is served, `stable` or `canary`.
    """

    pipeline: str
    run: str
    events: tuple[Event, ...]
    step: str = ""
    reason: str = ""
    mean_iou: float | None = None
    mean_iou_before: float | None = None
    report: str = ""
    stage: Stage = "stable"

    def title(self) -> str:
        """One line, for a mail's subject."""
        what = {
            "failed": f"{self.step or 'the run'} failed",
            "refused": "the new model was refused",
            "pushed": f"a new model is served{' as a canary' if self.stage == 'canary' else ''}",
            "recovered": "well again",
            "drifted": "requests have drifted from what the served version was trained on",
        }
        return f"{self.pipeline}: {', '.join(what[event] for event in self.events)}"

    def text(self) -> str:
        """A few lines, for people."""
        lines = [self.title()]
        if "drifted" not in self.events:
            lines.append(f"run: {self.run or '(none)'}")
        if self.step:
            lines.append(f"step: {self.step}")
        if self.reason:
            lines.append(f"reason: {self.reason}")
        if self.mean_iou is not None:
            before = self.mean_iou_before
            change = (
                "no model was blessed before"
                if before is None
                else f"{self.mean_iou - before:+.4f} against the last blessed model"
            )
            lines.append(f"mean IoU: {self.mean_iou:.4f} ({change})")
        if self.report:
            lines.append(f"report: {self.report}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**dataclasses.asdict(self), "events": list(self.events)}


def of_failure(config: PipelineConfig, run_id: str, step: str, reason: str) -> Notice:
    """A run that did not get to its end.

    Args:
      config: the run's config.
      run_id: the run's id; empty: it could not begin.
      step: which step has failed; empty: none.
      reason: why, for people.
    """
    report = f"segline report {run_id}" if run_id else ""
    return Notice(config.name, run_id, ("failed",), step, _one_line(reason), report=report)


def of_drift(config: PipelineConfig, reason: str, page: str) -> Notice:
    """Requests that are no longer like the data of the served version.

    Args:
      config: of the pipeline.
      reason: what has drifted, for people.
      page: where it is shown.
    """
    return Notice(config.name, "", ("drifted",), reason=_one_line(reason), report=page)


def of_outcome(store: MetadataStore, config: PipelineConfig, run: Run) -> Notice:
    """A run that got to its end. What came from the cache is no news.

    Args:
      store: ML Metadata.
      config: the run's config.
      run: the run.
    """
    reason = refusal(run)
    judged = any(_worked(run, step) for step in ("Evaluator", "InfraValidator"))
    events: list[Event] = []
    if reason and judged:
        events.append("refused")
    elif not reason and run.verdict() == "pushed" and _worked(run, "Pusher"):
        events.append("pushed")
    if not reason and _went_wrong(_before(store, run)):
        events.append("recovered")
    report = run.output("Reporter", "report")
    pushed = run.output("Pusher", "pushed_model")
    blessing = run.output("Evaluator", "blessing")
    return Notice(
        pipeline=config.name,
        run=run.id,
        events=tuple(events),
        step=_refusing_step(run) if reason else "",
        reason=reason,
        mean_iou=run.metrics().get(schema.MEAN_IOU),
        mean_iou_before=earlier_blessed(store, config.name, blessing, schema.MEAN_IOU),
        report=report.uri if report else "",
        stage="canary" if pushed and text_of(pushed, "stage") == "canary" else "stable",
    )


def refusal(run: Run) -> str:
    """Why a run's model was refused, in one line; empty: it was not."""
    step = _refusing_step(run)
    if not step:
        return ""
    told = run.made(step, "blessing").custom_properties["reason"].string_value
    return _one_line(told or "it did not stand the check")


def _refusing_step(run: Run) -> str:
    return {"not blessed": "Evaluator", "not servable": "InfraValidator"}.get(run.verdict(), "")


def _worked(run: Run, step: str) -> bool:
    return step in run.steps and run.steps[step].state == "done"


def _before(store: MetadataStore, run: Run) -> Run | None:
    """The run before it."""
    return next(iter(list_runs(store, run.pipeline, 1, before=run)), None)


def _went_wrong(run: Run | None) -> bool:
    bad = (run_record.FAILED, run_record.INTERRUPTED)
    return run is not None and (run.state in bad or bool(_refusing_step(run)))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"
