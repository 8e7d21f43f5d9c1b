"""How surely does `segline watch` notice, how often does it cry wolf, and what does telemetry cost?

    python tests/benchmarks/watch.py RUN_DIR

takes the folder of a finished run of the quickstart, draws new pictures as its dataset draws them,
and by turns as they are and with a change; 100 logs of 200 requests of each. Prints how many of
them were told to have moved (beyond chance) and to have drifted (beyond
data_validation.drift.max_divergence too). Then the same of 300 logs of numbers that are hard to
judge, with nothing changed. Then, with a network like that of the run, exported with telemetry and
without, it asks both by turns, and prints the median ratio of the requests' times.

What was chosen (the changes' strengths here, the limits there) was chosen with --seed 0; the
default is another one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run
import numpy as np
import tensorflow as tf
from PIL import Image, ImageFilter

from components.common.picture_fit import PictureFit
from components.data_validation.config import DriftConfig
from components.datasets.synthetic_pets import PET, draw_pet
from components.trainer.config import ServingConfig
from components.trainer.export import export_model
from components.watcher import comparison
from components.watcher.observer import Observer
from components.watcher.reference import Data, Reference, reference_of
from components.watcher.table import Row, Table

_LOGS, _REQUESTS = 100, 200
_APART = 1_000_000  # between seeds; the dataset takes 0 to 480 and 1,000,000 to 1,000,120


def as_it_is(image: Image.Image) -> Image.Image:
    """No drift."""
    return image


def darker(image: Image.Image) -> Image.Image:
    """Two thirds of the light."""
    return image.point(lambda value: round(value * 2 / 3))


def blurred(image: Image.Image) -> Image.Image:
    """Out of focus by 2 % of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) * 0.02))


def of_large_animals(image: Image.Image) -> Image.Image:
    """Another class mix: `seeds_of` has chosen, nothing else is changed."""
    return image


def of_another_camera(image: Image.Image) -> Image.Image:
    """Half as many pixels again on each side."""
    width, height = image.size
    return image.resize((width * 3 // 2, height * 3 // 2), Image.Resampling.BICUBIC)


_KINDS = (as_it_is, darker, blurred, of_large_animals, of_another_camera)
_LARGE = 0.27  # of the picture: a third of the animals


def seeds_of(change: Callable[[Image.Image], Image.Image], first: int, count: int) -> list[int]:
    """So many seeds of pictures, from the first on."""
    seeds: Iterable[int] = itertools.count(first)
    if change is of_large_animals:
        seeds = (one for one in seeds if (draw_pet(one)[1] == PET).mean() > _LARGE)
    return list(itertools.islice(seeds, count))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", type=int, default=2000, help="pictures that logs are drawn from")
    parser.add_argument("--rounds", type=int, default=400, help="requests of each kind")
    names = [one.__name__ for one in _KINDS]
    parser.add_argument("--kind", choices=names, help="one kind of logs alone")
    parser.add_argument("--only", choices=("drift", "numbers", "telemetry"))
    options = parser.parse_args()
    if options.only in (None, "drift"):
        drift(options.run_dir, options.seed, options.pool, options.kind)
    if options.only in (None, "numbers"):
        numbers(options.seed)
    if options.only in (None, "telemetry"):
        telemetry(options.run_dir, options.rounds)


def drift(run_dir: str, seed: int, pool: int, kind: str | None) -> None:
    """How many logs of 100 are told."""
    model = f"{finished_run.artifact(run_dir, 'Trainer', 'model')}/Format-Serving"
    data = Data(finished_run.artifact(run_dir, "TfdsExampleGen", "examples"), "test", ())
    observer = Observer(model)
    with tempfile.TemporaryDirectory() as folder:
        known = reference_of("0", data, observer, 2000, folder)
    rng = np.random.default_rng(seed)
    allowed = DriftConfig().max_divergence
    print(f"{known.trained.count} pictures trained on, {known.judged.count} evaluated on")
    for number, change in enumerate(_KINDS):
        if kind not in (None, change.__name__):
            continue
        # (False alarms want a pool of their own, a large one.)
        count = pool if change is as_it_is else pool // 4
        first = (10 * (seed + 1) + number) * _APART
        rows = table(observer, change, seeds_of(change, first, count))
        moved = drifted = 0
        for _ in range(_LOGS):
            chosen = rng.choice(count, _REQUESTS, replace=False)
            values = {name: column[chosen] for name, column in rows.values.items()}
            found = comparison.compare(known, Table(_REQUESTS, values, {}), allowed, _REQUESTS)
            moved += any(one.moved for one in found)
            drifted += any(one.drifted for one in found)
        most = max(found, key=lambda one: one.divergence / one.chance)
        print(
            f"{change.__name__:18} moved {moved:3}, drifted {drifted:3} of {_LOGS}   "
            f"(most: {most.feature}, {most.divergence:.2f}, by chance {most.chance:.2f})",
            flush=True,
        )


def table(
    observer: Observer, change: Callable[[Image.Image], Image.Image], seeds: Sequence[int]
) -> Table:
    """New pictures as requests."""
    rows = []
    for start in range(0, len(seeds), 16):
        pictures = [
            tf.io.encode_jpeg(np.asarray(change(Image.fromarray(draw_pet(one)[0])))).numpy()
            for one in seeds[start : start + 16]
        ]
        answers = observer.answers(pictures)
        rows += [Row(values) for values in answers if not isinstance(values, str)]
    assert len(rows) == len(seeds)
    return Table.of(rows)


def numbers(seed: int) -> None:
    """How many undrifted logs of 300 are told, each with a reference of its own."""
    rng = np.random.default_rng(seed)
    kinds: dict[str, Callable[[int], np.ndarray]] = {
        "normal": lambda count: rng.normal(0, 1, count),
        "lognormal": lambda count: rng.lognormal(0, 1, count),
        "Pareto's, 2": lambda count: rng.pareto(2, count),
        "another size once in 1000": lambda count: np.where(rng.random(count) < 1e-3, 1024.0, 512),
        "a class once in 500": lambda count: np.where(
            rng.random(count) < 2e-3, rng.random(count), 0
        ),
        "normal, 20 bursts of 10": lambda count: rng.normal(0, 1, count),
    }
    for name, draw in kinds.items():
        moved = drifted = 0
        for _ in range(300):
            known, asked = draw(2000), draw(_REQUESTS)
            if "bursts" in name:
                asked = np.repeat(asked[:20], 10) + rng.normal(0, 0.05, _REQUESTS)
            before, now = (Table(len(one), {"share": one}, {}) for one in (known, asked))
            reference = Reference(trained=before, judged=before)
            allowed = DriftConfig().max_divergence
            (found,) = comparison.compare(reference, now, allowed, _REQUESTS)
            moved, drifted = moved + found.moved, drifted + found.drifted
        print(f"{name:26} moved {moved:3}, drifted {drifted:3} of 300", flush=True)


def telemetry(run_dir: str, rounds: int) -> None:
    """What a request takes, with telemetry and without."""
    model, card, transform = finished_run.network(run_dir)
    fit = PictureFit(image_size=card["image_size"], fit=card["fit"])
    asked = {}
    with tempfile.TemporaryDirectory() as folder:
        for wanted in (False, True):
            path = f"{folder}/{wanted}"
            limits = ServingConfig(telemetry=wanted)
            export_model(model, transform, card["classes"], path, {}, limits, fit)
            asked[wanted] = tf.saved_model.load(path)
    pictures = [tf.constant([tf.io.encode_jpeg(draw_pet(one)[0]).numpy()]) for one in range(32)]
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 20):
        for wanted in (False, True) if number % 2 else (True, False):
            started = time.process_time()
            asked[wanted].signatures["serving_default"](image_bytes=pictures[number % 32])
            if number >= 20:  # the first ones trace
                times[wanted].append(time.process_time() - started)
    ratios = [a / b for a, b in zip(times[True], times[False], strict=True)]
    print(
        f"{rounds} interleaved requests of one picture, CPU time: without "
        f"{1e3 * statistics.median(times[False]):.1f} ms, with telemetry "
        f"{1e3 * statistics.median(times[True]):.1f} ms"
    )
    print(f"with / without: {statistics.median(ratios):.3f} (goal: at most 1.03)")


if __name__ == "__main__":
    main()
