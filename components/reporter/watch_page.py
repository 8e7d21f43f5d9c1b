"""The page of `segline watch`: requests against the data of the served version."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from components.reporter import charts, templates
from components.watcher.comparison import Finding
from components.watcher.reference import Reference
from components.watcher.table import LOOK_FEATURES
from components.watcher.verdict import Watched

_BUCKETS = 24
_BEFORE_COLOR, _NOW_COLOR = "#2f8fd0", "#e0701a"  # as training and validation in the report


def render(watched: Watched, reference: Reference) -> str:
    """Makes the page.

    Args:
      watched: what was found.
      reference: what it was held against.

    Returns:
      An HTML page that needs nothing else.
    """
    return templates.render(
        "watch.html",
        watched=watched,
        charts=[_chart(one, watched, reference) for one in watched.findings if not one.slice],
    )


def _chart(finding: Finding, watched: Watched, reference: Reference) -> str:
    """Both histograms of a feature over each other."""
    looks = finding.feature in LOOK_FEATURES
    before = (reference.trained if looks else reference.judged).known(finding.feature)
    now = watched.requests.table.known(finding.feature)
    low, high = min(before.min(), now.min()), max(before.max(), now.max())
    edges = np.linspace(low, high if high > low else low + 1, _BUCKETS + 1)
    with matplotlib.rc_context(charts.STYLE):
        figure = Figure((4.2, 2.1), layout="constrained")
        axes = figure.subplots()
        for values, color, label in (
            (before, _BEFORE_COLOR, "trained on" if looks else "evaluated on"),
            (now, _NOW_COLOR, "requests"),
        ):
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.45, label=label)
        axes.set_title(finding.name)
        axes.set_yticks([])
        figure.legend(loc="outside lower center", ncols=2)
        return charts.svg(figure, f"watch {finding.name}")
