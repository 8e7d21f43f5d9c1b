"""What the user sees when a run has ended: metrics, blessing and why, paths."""

from __future__ import annotations

import math
import os

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common import readable, schema
from components.common.served_model import latest_version
from components.evaluator.verdict import Slice, Verdict, read_verdict, slice_name
from components.exporter.result import read_result
from components.infra_validator.result import read_check
from components.pusher import places
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.artifacts import version_state
from pipeline.metadata.history import Run

# A feature with more values than this shows its worst only.
_MOST_SLICES = 6
_WORST_SLICES = 3


def print_summary(console: Console, config: PipelineConfig, run: Run) -> None:
    """Prints the outcome of a finished run.

    Args:
      console: where to.
      config: the run's config.
      run: the run, all steps done.
    """
    verdict = read_verdict(run.made("Evaluator", "evaluation").uri)
    console.print()
    console.print(metrics_table(config, verdict))
    for line in [*confidence_lines(verdict), *objects_lines(config, verdict)]:
        console.print(line, soft_wrap=True, markup=False)
    if len(verdict.metrics) > 1:
        console.print()
        console.print(slices_table(verdict))
    console.print()
    pushed = run.made("Pusher", "pushed_model")
    is_pushed = pushed.custom_properties["pushed"].int_value
    infra_blessing = run.made("InfraValidator", "blessing")
    if not verdict.blessed:
        console.print("[bold red]Not blessed, not pushed[/bold red]")
    elif not infra_blessing.custom_properties["blessed"].int_value:
        console.print("[bold red]Blessed, but it can't be served: not pushed[/bold red]")
    else:
        console.print("[bold green]Blessed[/bold green]")
    check = read_check(infra_blessing.uri)  # none from TFX's own InfraValidator
    print_lines(console, verdict.deciding_lines() + (check.lines() if check else []))
    console.print()
    if exports := run.exports():
        console.print("exports")
        print_lines(console, [read_result(one.uri).line() for one in exports])
        console.print()
    if is_pushed:
        path = pushed.custom_properties["pushed_destination"].string_value
        where = places.find(*os.path.split(path)) or path
        canary = " (canary)" if version_state(path) == "canary" else ""
        console.print(f"model   {_short(where)}{canary}", soft_wrap=True)
    else:
        latest = latest_version(config.serving_dir)
        console.print(f"model   still {_short(latest) if latest else 'none'}")


def print_lines(console: Console, lines: list[tuple[bool, str]]) -> None:
    """Prints (passed, text) lines, each with its mark."""
    for passed, line in lines:
        mark = "[green]✓[/green]" if passed else "[red]✗[/red]"
        # TensorFlow's messages are full of brackets, which would be taken for markup.
        console.print(f"  {mark} {escape(line)}", soft_wrap=True)


def metrics_table(config: PipelineConfig, verdict: Verdict) -> Table:
    """The per-class metrics and the overall ones, as one table."""
    values = verdict.overall
    count = int(values[schema.EXAMPLE_COUNT])
    at = ", at their own size" if verdict.at == "picture" else ""
    title = f"{config.evaluator.split} split, {readable.counted(count, 'picture')}{at}"
    table = Table(title=title, title_justify="left")
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


def confidence_lines(verdict: Verdict) -> list[str]:
    """How far the model's confidence is from the share of pixels that are right."""
    error = verdict.overall.get(schema.CALIBRATION_ERROR, math.nan)
    return [] if math.isnan(error) else [f"expected calibration error {error:.4f}"]


def objects_lines(config: PipelineConfig, verdict: Verdict) -> list[str]:
    """What was counted of each class's objects, where that is asked for."""
    lines = []
    for name in config.evaluator.objects:
        found, missed, invented, f1 = (
            verdict.overall.get(schema.object_metric(metric, name), math.nan)
            for metric in ("found", "missed", "invented", "f1")
        )
        lines.append(
            f"objects of {name}: {found:,.0f} found, {missed:,.0f} missed, {invented:,.0f} "
            f"invented (F1 {_number(f1)})"
        )
    return lines


def slices_table(verdict: Verdict) -> Table:
    """Mean IoU and pixel accuracy of the slices; of a feature with many values the worst."""
    table = Table(title="slices", title_justify="left")
    table.add_column("")
    for heading in ("pictures", "mean IoU", "pixel accuracy"):
        table.add_column(heading, justify="right")
    by_feature: dict[str, list[tuple[Slice, dict[str, float]]]] = {}
    for key, values in sorted(verdict.metrics.items()):
        if key:
            feature = ", ".join(name for name, _ in key)
            by_feature.setdefault(feature, []).append((key, values))
    for feature, slices in by_feature.items():
        shown = slices
        if len(slices) > _MOST_SLICES:
            # NaN, where there is nothing to measure, is no bad value.
            shown = sorted(slices, key=lambda one: (_or_one(one[1][schema.MEAN_IOU]), one[0]))
            shown = shown[:_WORST_SLICES]
        for key, values in shown:
            table.add_row(
                slice_name(key),
                f"{values[schema.EXAMPLE_COUNT]:.0f}",
                _number(values[schema.MEAN_IOU]),
                _number(values[schema.PIXEL_ACCURACY]),
            )
        if len(shown) < len(slices):
            table.add_row(f"[dim]the worst of {len(slices)} of {feature}[/dim]")
        table.add_section()
    return table


def _or_one(value: float) -> float:
    return 1.0 if math.isnan(value) else value


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _short(path: str) -> str:
    """Relative to the working directory where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path
