"""Shows the pushed versions to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common import schema

_STYLES = {"stable": "green", "canary": "yellow", "withdrawn": "red", "gone": "dim"}


def print_versions(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints one line for each version, and one for each change below it.

    Args:
      console: where to.
      rows: from `pipeline.metadata.serving.describe`.
    """
    if not rows:
        console.print("no version has been pushed yet")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("version", "pushed", "state"):
        table.add_column(heading)
    for heading in ("mean IoU", "pixels"):
        table.add_column(heading, justify="right")
    table.add_column("changed", overflow="fold")
    for row in rows:
        state = f"[{_STYLES.get(row['state'], 'default')}]{row['state']}[/]"
        metrics = row["metrics"]
        changes = list(reversed(row["changes"]))
        table.add_row(
            row["version"],
            row["pushed"],
            f"{state}, pinned" if row["pinned"] else state,
            *(
                f"{metrics[name]:.4f}" if name in metrics else "–"
                for name in (schema.MEAN_IOU, schema.PIXEL_ACCURACY)
            ),
            "\n".join(_change_text(change) for change in changes),
        )
    console.print(table)


def _change_text(change: Mapping[str, Any]) -> str:
    why = f": {change['why']}" if change["why"] else ""
    return escape(f"{change['action']} {change['when']} by {change['by']}{why}")
