"""The last task of a run, whatever happened: how it has ended is recorded and told.

Kubeflow itself knows neither step nor reason: its API object of a failed run has no message,
and a step that was killed could say nothing. ML Metadata has what the steps have said.
"""

from __future__ import annotations

import logging

from ml_metadata import MetadataStore

from components.common import run_record
from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.history import Run, read_run
from pipeline.metadata.store import connect
from pipeline.running import notices, receivers

_LOG = logging.getLogger("segline")
_SILENT = (
    "it said nothing: its pod never began or was ended from outside (image, memory, node, "
    "quota, deadline); Kubeflow's page of the run has more"
)


def end_run(config: PipelineConfig, run_id: str) -> None:
    """Records the end of a run, and tells whom the config names.

    A receiver that can't be reached is told of in the log, and fails nothing.

    Args:
      config: the run's config.
      run_id: the run's id.
    """
    try:
        store = connect(config)
        record = run_record.read(store, [run_id]).get(run_id)
        if record and record.outcome:  # nothing had changed, or this has been done already
            return
        run = _read(store, run_id)
        step, reason = _failure(run, record)
        if step or run is None:
            notice = notices.of_failure(config, run_id, step, reason)
        else:
            notice = notices.of_outcome(store, config, run)
        if record:
            error = f"{step}: {reason}" if step else ""
            outcome = run_record.FAILED if step else run_record.DONE
            run_record.end(store, record, outcome, error)
    except Exception as error:
        _LOG.warning("ML Metadata can't be asked: %s", error)
        reason = str(error) if isinstance(error, UserError) else f"ML Metadata: {error}"
        notice = notices.of_failure(config, run_id, "", reason)
    receivers.tell(config.run.notify, notice)


def check_verdict(config: PipelineConfig, run_id: str) -> None:
    """Fails where the run's model was refused.

    Raises:
      UserError: it was; says why.
    """
    run = read_run(connect(config), run_id)
    if reason := notices.refusal(run):
        raise UserError(f"the model was refused: {reason}")


def _read(store: MetadataStore, run_id: str) -> Run | None:
    try:
        return read_run(store, run_id)
    except KeyError:
        return None


def _failure(run: Run | None, record: run_record.RunRecord | None) -> tuple[str, str]:
    """(step, reason) of what kept the run from its end; empty: nothing did."""
    steps = run.steps if run else {}
    expected = record.steps if record and record.steps else ("The first step",)
    open_ones = [name for name in expected if _state(steps, name) not in ("done", "cached")]
    if not open_ones:
        return "", ""
    step, _, reason = (record.error if record else "").partition(": ")
    if step in open_ones or step and not steps:
        return step, reason
    # The one that began and did not end, or else the first that should have come.
    begun = [name for name in open_ones if name in steps]
    return (begun or open_ones)[0], _SILENT


def _state(steps: dict, name: str) -> str:
    return steps[name].state if name in steps else ""
