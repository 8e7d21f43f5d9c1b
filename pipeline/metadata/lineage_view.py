"""Shows the answers of `pipeline.metadata.lineage` to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from components.common import schema

_STATE_STYLES = {"done": "green", "failed": "red", "interrupted": "red", "running": "cyan"}


def print_tree(console: Console, title: str, answer: Mapping[str, Any]) -> None:
    """Prints nested values as a tree.

    Args:
      console: where to.
      title: of the root.
      answer: JSON values.
    """
    tree = Tree(f"[bold]{escape(title)}[/bold]", guide_style="dim")
    _grow(tree, answer)
    console.print(tree, soft_wrap=True)


def _grow(tree: Tree, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        label = escape(name.replace("_", " "))
        if isinstance(value, Mapping) and value:
            _grow(tree.add(f"[cyan]{label}[/cyan]"), value)
        elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
            for part in value:
                one = "push" if name == "pushes" else label.removesuffix("s")
                _grow(tree.add(f"[cyan]{one}[/cyan]"), part)
        else:
            tree.add(f"[dim]{label}[/dim] {escape(_text(value))}")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | Mapping):
        return ", ".join(map(_text, value)) or "–"
    return str(value) or "–"


_RUN_COLUMNS = ("run", "state", "took", "verdict", "mean IoU", "accuracy", "cached steps")
_NUMBERS = ("mean IoU", "accuracy")


def print_runs(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    """Prints one line for each run; there may be thousands, for which rich's table is slow.

    Args:
      console: where to.
      runs: from `pipeline.metadata.lineage.describe_run`.
    """
    rows = [_run_row(run) for run in runs]
    columns = zip(_RUN_COLUMNS, *rows, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    console.print(Text(_line(_RUN_COLUMNS, widths), "dim"), soft_wrap=True)
    for run, row in zip(runs, rows, strict=True):
        line = Text(_line(row, widths))
        start = widths[0] + len(_GAP)
        state = run["state"]
        line.stylize(_STATE_STYLES.get(state, "yellow"), start, start + len(state))
        console.print(line, soft_wrap=True)


_GAP = "  "


def _run_row(run: Mapping[str, Any]) -> tuple[str, ...]:
    metrics = run["metrics"]
    numbers = (schema.MEAN_IOU, schema.PIXEL_ACCURACY)
    return (
        run["id"],
        run["state"],
        run["took"],
        run["verdict"] or "–",
        *(f"{metrics[name]:.4f}" if name in metrics else "–" for name in numbers),
        cached_steps(run["steps"]),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
        for heading, cell, width in zip(_RUN_COLUMNS, cells, widths, strict=True)
    )
    return _GAP.join(padded).rstrip()


def cached_steps(states: Mapping[str, str]) -> str:
    """Which steps were cached, in few words.

    Args:
      states: step -> state.

    Returns:
      `none`, `all`, `all but Trainer, Evaluator`, or the cached ones; where a step
      failed or did not end, that too.
    """
    # A resolver only looks things up.
    states = {name: state for name, state in states.items() if name != "LatestBlessedModel"}
    cached = [name for name, state in states.items() if state == "cached"]
    others = [name for name in states if name not in cached]
    broken = [f"{name} {state}" for name, state in states.items() if state not in _FINISHED]
    if not cached:
        text = "none"
    elif not others:
        text = "all"
    elif len(others) < len(cached):
        text = f"all but {', '.join(others)}"
    else:
        text = ", ".join(cached)
    return "; ".join([text, *broken])


_FINISHED = ("done", "cached")


def print_comparison(
    console: Console, first: str, second: str, sections: Mapping[str, Mapping[str, Any]]
) -> None:
    """Prints what differs between two runs.

    Args:
      console: where to.
      first: id of a run.
      second: id of the other.
      sections: from `pipeline.metadata.lineage.compare`.
    """
    if not sections:
        console.print(f"{first} and {second} don't differ")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column(escape(first), overflow="fold")
    table.add_column(escape(second), overflow="fold")
    table.add_column("", justify="right")
    for section, values in sections.items():
        table.add_row(f"[cyan]{section}[/cyan]")
        for name, pair in values.items():
            before, after = pair["first"], pair["second"]
            change = ""
            if isinstance(before, float) and isinstance(after, float):
                change = f"{after - before:+.4f}"
            table.add_row(f"  {escape(name)}", escape(_text(before)), escape(_text(after)), change)
    console.print(table)
