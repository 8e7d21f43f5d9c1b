"""How `segline watch` tells what it has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common import readable
from components.watcher.comparison import Finding
from components.watcher.verdict import Watched

_MOST_NAMED = 5  # features, in one line


def print_watch(console: Console, watched: Watched, path: str, run: str) -> None:
    """Prints what was read, what has moved, and what follows.

    Args:
      console: where to.
      watched: what was found.
      path: of the page; empty: there is none.
      run: id of the run that was started; empty: none was.
    """
    for line in watched.lines():
        console.print(line, soft_wrap=True, markup=False)
    if watched.findings:
        console.print(_table(watched.findings))
    console.print(watched.headline(), style="bold", soft_wrap=True, markup=False)
    if run:
        console.print(f"run {run} was started on Kubeflow, to train if there is something new")
    if path:
        console.print(f"  {path}", soft_wrap=True, markup=False)


def as_dict(watched: Watched, path: str, run: str) -> dict[str, Any]:
    """The same as JSON values."""
    requests = watched.requests
    return {
        "version": watched.version,
        "since": readable.time_text(round(watched.since * 1000)),
        "requests": requests.table.count,
        "left_out": dict(requests.left_out),
        "unreadable": requests.unreadable,
        "problems": requests.problems,
        "drifted": watched.drifted,
        "features": [
            {**dataclasses.asdict(one), "moved": one.moved, "drifted": one.drifted}
            for one in watched.findings
        ],
        "page": path,
        "run": run,
    }


def reason_text(drifted: Sequence[Finding]) -> str:
    """What has drifted and by how much, in one line."""
    shown = [
        f"{one.name} {one.divergence:.2f} (at most {max(one.threshold, one.chance):.2f})"
        for one in drifted[:_MOST_NAMED]
    ]
    more = len(drifted) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("feature")
    for heading in ("divergence", "by chance", "mean before", "mean now", "requests"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in findings:
        state = "[red]drifted[/]" if one.drifted else "[yellow]moved[/]" if one.moved else ""
        table.add_row(
            escape(one.name),
            f"{one.divergence:.3f}",
            f"{one.chance:.3f}",
            f"{one.before:.4g}",
            f"{one.now:.4g}",
            f"{one.requests:,}",
            state,
        )
    return table
