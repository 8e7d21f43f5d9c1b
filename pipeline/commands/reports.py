"""Rebuilds the report of any run from what it left behind."""

from __future__ import annotations

import os

from ml_metadata import MetadataStore

from components.common import lineage
from components.common.errors import UserError
from pipeline.metadata.history import Run


def build_report(store: MetadataStore, run: Run) -> str:
    """Builds the page, also of a run that did not get to its end.

    Args:
      store: ML Metadata.
      run: the run.

    Returns:
      An HTML page that needs nothing else.

    Raises:
      UserError: the run made no examples, or its files are gone.
    """
    from components.reporter import page

    artifacts = run.artifacts()
    if "examples" not in artifacts:
        raise UserError(f"{run.id}: there is nothing to report, no step was finished")
    gone = [name for name, found in artifacts.items() if not os.path.exists(found.uri)]
    if gone:
        raise UserError(f"{run.id}: its files are gone: {', '.join(gone)}")
    exports = [one for one in run.exports() if os.path.exists(one.uri)]
    shown = [*artifacts.values(), *exports]
    graph = lineage.upstream(store, [artifact.id for artifact in shown])
    facts = page.RunFacts(run.pipeline, run.id, _problem(run))
    return page.render(artifacts, graph, facts, exports)


def _problem(run: Run) -> str:
    if run.state == "failed":
        return f"failed at {run.record.error}" if run.record else "failed"
    return "" if run.state == "done" else f"the run is {run.state}"
