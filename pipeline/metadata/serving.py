"""What is served of a pipeline, and whether a canary's time has come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ml_metadata import MetadataStore

from components.common import readable
from components.pusher import rollout
from components.pusher.rollout import Change, Rollout
from pipeline.config.loading import PipelineConfig
from pipeline.metadata import rollouts
from pipeline.metadata.artifacts import pushed_models, text_of, version_state
from pipeline.metadata.history import Run, list_runs

_STEPS = ("Trainer", "Evaluator", "InfraValidator", "Pusher")
_HOUR = 3_600_000  # milliseconds


def describe(store: MetadataStore, config: PipelineConfig) -> list[dict[str, Any]]:
    """The pushed versions, newest first.

    Args:
      store: ML Metadata.
      config: of the pipeline.

    Returns:
      For each `version`, `pushed` (when), `state` (`stable`, `canary`, `kept`, `withdrawn` or
      `gone`), `pinned`, `metrics` of the evaluated split, `changes` that were made by hand or rule.
    """
    known = rollout.read(config.serving_dir)
    changes = _changes(store, config, known)
    runs = list_runs(store, config.name, outputs_of=_STEPS)
    metrics: dict[int, dict[str, float]] = {}
    for run in reversed(runs):  # the run that made it; later ones have it from the cache
        pushed = run.output("Pusher", "pushed_model")
        if pushed is not None:
            metrics.setdefault(pushed.id, run.metrics())
    stable = known.now.stable if known else ""
    rows = []
    for artifact in reversed(pushed_models(store, config.name)):
        version = text_of(artifact, "pushed_version")
        state = version_state(text_of(artifact, "pushed_destination"))
        is_stable = version == stable if known else state == "served"
        rows.append(
            {
                "version": version,
                "pushed": readable.time_text(artifact.create_time_since_epoch),
                "state": "stable" if is_stable else {"served": "kept"}.get(state, state),
                "pinned": bool(is_stable and known and known.now.pinned),
                "metrics": metrics.get(artifact.id, {}),
                "changes": [
                    rollouts.describe(change, change.version != version)
                    for index, change in enumerate(changes)
                    if change.action != rollout.PUSH
                    and version in {change.version, *rollout.withdrawn(changes, index)}
                ],
            }
        )
    return rows


def _changes(store: MetadataStore, config: PipelineConfig, known: Rollout | None) -> list[Change]:
    """What is recorded, and what only the serving folder knows: its recorder was ended."""
    found = {change.number: change for change in rollouts.read(store, config.name)}
    found |= {change.number: change for change in (known.changes if known else ())}
    return [found[number] for number in sorted(found)]


def why_not_due(
    runs: Sequence[Run], known: Rollout, hours: float | None, now: int | None = None
) -> str:
    """Why the rule does not promote the canary; empty: it does.

    Args:
      runs: of the pipeline, newest first, with the outputs of `Trainer` to `Pusher`.
      known: the record of what is served.
      hours: `pusher.promote_after_hours`.
      now: milliseconds since the epoch; None: the time.
    """
    canary = known.now.canary
    if not canary:
        return "there is no canary"
    if hours is None:
        return "pusher.promote_after_hours is not set"
    if known.now.pinned:
        return f"{known.now.stable} is pinned"
    if refused := _refusal(runs, canary):
        return f"run {refused.id} has found its model {refused.verdict()}"
    now = int(time.time() * 1000) if now is None else now
    missing = known.canary_since + hours * _HOUR - now
    if missing > 0:
        return f"it is a canary for another {readable.duration_text(missing / 1000)}"
    return ""


def _refusal(runs: Sequence[Run], version: str) -> Run | None:
    """A run after the push that has judged the same model anew and refused it."""
    model = None
    for run in reversed(runs):
        trained, pushed = run.output("Trainer", "model"), run.output("Pusher", "pushed_model")
        if model is None and pushed is not None and text_of(pushed, "pushed_version") == version:
            model = trained
        elif (
            model is not None
            and trained is not None
            and trained.id == model.id
            and run.verdict() in ("not blessed", "not servable")
        ):
            return run
    return None


def runs_that_judge(store: MetadataStore, pipeline: str) -> list[Run]:
    """A pipeline's runs as `why_not_due` wants them."""
    return list_runs(store, pipeline, outputs_of=_STEPS)
