import io
import math

import numpy as np
import pytest
from rich.console import Console

from components.evaluator.ranking import Ranking
from components.evaluator.verdict import Check, Verdict
from pipeline.running import summary


def printed(*things):
    console = Console(file=io.StringIO(), width=100)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def verdict_of(values, checks=()):
    """Slices `breed <name>` with these mean IoUs."""
    metrics = {(("breed", name),): numbers(value) for name, value in values.items()}
    nothing = np.zeros((2, 2), np.int64), Ranking((), (), ())
    return Verdict(True, tuple(checks), {(): numbers(0.5), **metrics}, *nothing)


def numbers(mean_iou):
    return {"mean_iou": mean_iou, "pixel_accuracy": 0.9, "example_count": 12.0}


def test_few_slices_are_all_shown():
    shown = printed(summary.slices_table(verdict_of({"beagle": 0.25, "bengal": math.nan})))
    assert "breed beagle" in shown and "0.2500" in shown
    assert "breed bengal" in shown and "–" in shown


def test_of_many_slices_the_worst_are_shown():
    values = {f"b{number}": 0.9 - number / 100 for number in range(20)} | {"empty": math.nan}
    shown = printed(summary.slices_table(verdict_of(values)))
    assert "the worst of 21 of breed" in shown
    assert shown.index("breed b19") < shown.index("breed b18") < shown.index("breed b17")
    assert "b16" not in shown and "empty" not in shown


@pytest.mark.parametrize(("worst", "passed"), [(-0.01, True), (-0.2, False)])
def test_slices_are_summed_up_unless_they_decided(worst, passed):
    def change(name, value, good):
        return Check("mean_iou", (("breed", name),), value, -0.03, True, good)

    checks = [change("x", 0.1, True), change("y", worst, passed), change("z", 0.2, True)]
    ((found, line),) = verdict_of({}, checks).deciding_lines()
    assert found == passed and f"mean_iou of breed y {worst:+.4f}" in line
    assert ("the worst of 3" in line) == passed


def test_brackets_are_no_markup():
    console = Console(file=io.StringIO(), width=100)
    summary.print_lines(console, [(False, "assertion failed: [image_bytes: at position 1] [red]")])
    assert "✗ assertion failed: [image_bytes: at position 1] [red]" in console.file.getvalue()
