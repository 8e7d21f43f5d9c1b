"""What the user sees when a run has ended: metrics, blessing and why, paths."""

from __future__ import annotations

import math
import os

from ml_metadata import MetadataStore
from rich.console import Console
from rich.table import Table

from components import schema
from components.evaluator.verdict import Verdict, read_verdict
from pipeline.config import PipelineConfig
from pipeline.history import read_run


def print_summary(
    console: Console, config: PipelineConfig, store: MetadataStore, run_id: str
) -> None:
    """Prints the outcome of a finished run.

    Args:
      console: where to.
      config: the run's config.
      store: the pipeline's ML Metadata.
      run_id: the run's id.
    """
    steps = read_run(store, run_id)
    verdict = read_verdict(steps["Evaluator"].output("evaluation").uri)
    console.print()
    console.print(metrics_table(config, verdict))
    console.print()
    if verdict.blessed:
        console.print("[bold green]Blessed[/bold green]")
    else:
        console.print("[bold red]Not blessed, not pushed[/bold red]")
    for check in verdict.checks:
        mark = "[green]✓[/green]" if check.passed else "[red]✗[/red]"
        console.print(f"  {mark} {check}", soft_wrap=True)
    console.print()
    pushed = steps["Pusher"].output("pushed_model")
    if pushed.custom_properties["pushed"].int_value:
        path = pushed.custom_properties["pushed_destination"].string_value
        console.print(f"model   {_short(path)}", soft_wrap=True)
    else:
        console.print(f"model   still {latest_version(config.serving_dir) or 'none'}")


def metrics_table(config: PipelineConfig, verdict: Verdict) -> Table:
    """The per-class metrics and the overall ones, as one table."""
    values = verdict.overall
    count = int(values["example_count"])
    table = Table(title=f"{config.evaluator.split} split, {count} pictures", title_justify="left")
    table.add_column("")
    for name in config.classes.names:
        table.add_column(name, justify="right")
    table.add_column("all", justify="right", style="bold")
    overall = {
        "iou": f"{values[schema.MEAN_IOU]:.4f} (mean)",
        "accuracy": f"{values[schema.PIXEL_ACCURACY]:.4f} (pixels)",
    }
    for metric in schema.PER_CLASS_METRICS:
        row = [_number(values[schema.class_metric(metric, name)]) for name in config.classes.names]
        label = "IoU" if metric == "iou" else metric.capitalize()
        table.add_row(label, *row, overall.get(metric, ""))
    return table


def latest_version(serving_dir: str) -> str | None:
    """The newest pushed version's folder, or None."""
    versions = [name for name in _listdir(serving_dir) if name.isdigit()]
    return _short(os.path.join(serving_dir, max(versions, key=int))) if versions else None


def _listdir(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _short(path: str) -> str:
    """Relative to the working directory where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path
