"""The page of `segline watch`: requests against the data of the served version."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from components.common import readable
from components.reporter import charts, templates
from components.watcher.comparison import Finding
from components.watcher.reference import Reference
from components.watcher.request_log import Requests
from components.watcher.table import LOOK_FEATURES

_BUCKETS = 24
_BEFORE_COLOR, _NOW_COLOR = "#2f8fd0", "#e0701a"  # as training and validation in the report


@dataclasses.dataclass(frozen=True)
class Watched:
    """What a watch has found.

    Attributes:
      pipeline: its name.
      version: the one that is served.
      since: when it became the stable one, seconds since the epoch.
      requests: what was read.
      findings: of all features that could be judged.
      least: requests that a judgement takes.
    """

    pipeline: str
    version: str
    since: float
    requests: Requests
    findings: Sequence[Finding]
    least: int

    @property
    def drifted(self) -> bool:
        """Whether retraining has a reason."""
        return any(one.drifted for one in self.findings)

    def headline(self) -> str:
        """In a few words."""
        if not self.requests.table.count:
            return f"No request of version {self.version} was found"
        if not self.findings:
            return f"Too few requests to judge: {self.least} are needed (watch.least_requests)"
        names = [one.name for one in self.findings if one.drifted]
        if names:
            return f"Retraining has a reason: {', '.join(names)}"
        names = [one.name for one in self.findings if one.moved]
        if names:
            return f"Moved, but no further than is allowed: {', '.join(names)}"
        return "Nothing has moved"

    def lines(self) -> list[str]:
        """What was read, and what was not."""
        served = readable.time_text(round(self.since * 1000))
        found = self.requests
        lines = [
            f"version {self.version}, served since {served}: {found.table.count:,} pictures of "
            "requests"
        ]
        lines += [f"left out: {count:,} {reason}" for reason, count in found.left_out.items()]
        if found.unreadable:
            first = "; ".join(found.problems)
            lines.append(f"could not be read: {found.unreadable:,}, such as {first}")
        return lines


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
