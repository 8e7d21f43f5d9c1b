"""Shows the answers of `pipeline.metadata.lineage` to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from components.common import schema
from pipeline.metadata.history import Run
from pipeline.metadata.lineage import describe_run

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


def print_runs(console: Console, runs: Sequence[Run]) -> None:
    """Prints one line for each run."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "state", "took", "verdict"):
        table.add_column(heading, no_wrap=True)
    for heading in ("mean IoU", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("cached steps")
    for run in runs:
        facts = describe_run(run)
        style = _STATE_STYLES.get(run.state, "yellow")
        table.add_row(
            Text(run.id),
            Text(run.state, style),
            Text(facts["took"]),
            Text(facts["verdict"] or "–"),
            *(
                Text(f"{facts['metrics'][name]:.4f}" if name in facts["metrics"] else "–")
                for name in (schema.MEAN_IOU, schema.PIXEL_ACCURACY)
            ),
            Text(cached_steps(facts["steps"])),
        )
    console.print(table)


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
