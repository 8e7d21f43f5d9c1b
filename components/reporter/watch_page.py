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
_SHOWN = 0.99  # quantile
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
    edges = bucket_edges(before, now)
    with matplotlib.rc_context(charts.STYLE):
        figure = Figure((4.2, 2.1), layout="constrained")
        axes = figure.subplots()
        for values, color, label in (
            (before, _BEFORE_COLOR, "trained on" if looks else "evaluated on"),
            (now, _NOW_COLOR, "requests"),
        ):
            axes.stairs(
                bucket_shares(values, edges), edges, fill=True, color=color, alpha=0.45, label=label
            )
        axes.set_title(finding.name)
        axes.set_yticks([])
        figure.legend(loc="outside lower center", ncols=2)
        return charts.svg(figure, f"watch {finding.name}")


def bucket_edges(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Where the buckets of both histograms end: float64 [n + 1].

    From the first to the last hundredth of either: one picture of a thousand times the size must
    not leave all others in one bucket.

    Args:
      before: the reference's values.
      now: those of the requests.
    """
    # Of values that there are: between them, a lone odd one of a few would still count.
    lower = [np.quantile(values, 1 - _SHOWN, method="higher") for values in (before, now)]
    upper = [np.quantile(values, _SHOWN, method="lower") for values in (before, now)]
    low, high = min(lower), max(upper)
    return np.linspace(low, high if high > low else low + 1, _BUCKETS + 1)


def bucket_shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share of the values in each bucket; the outer ones have what lies beyond them too."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
