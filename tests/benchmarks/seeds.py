"""How much does a config's result depend on chance, and which floors does that allow?

    python tests/benchmarks/seeds.py [CONFIG] [--seeds 10] [--set KEY=VALUE …] [--out FILE]

Trains once for each seed by the product's own code, and counts the IoU on the validation and
the test split. It prints mean and standard deviation, and the floor that lies three standard
deviations below the mean of the test split. Settings are compared by the validation split:
`--set trainer.epochs=20`, as often as needed. What is in FILE already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import one_training

if TYPE_CHECKING:
    from pipeline.config.loading import PipelineConfig

_SPLITS = ("validation", "test")


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", default="quickstart", help="name or path")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", help="a line for each training")
    options = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    from pipeline.config.loading import load_config, override_config

    config = override_config(load_config(options.config), " ".join(options.set))
    out = Path(options.out) if options.out else None
    asked = {"config": options.config, "set": options.set}
    rows = []
    if out and out.exists():
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    rows = [row for row in rows if {key: row[key] for key in asked} == asked]
    missing = set(range(options.seeds)) - {row["seed"] for row in rows}
    pictures = [one_training.load_pictures(config, split) for split in splits(config)]
    for seed in sorted(missing):
        rows.append(asked | train(config, pictures, seed))
        if out:
            with out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        shown = ", ".join(f"{split} {rows[-1][split]['mean_iou']:.4f}" for split in _SPLITS)
        print(f"seed {seed}: {shown}", flush=True)
    print(table([row for row in rows if row["seed"] < options.seeds]))


def splits(config: PipelineConfig) -> tuple[str, str, str]:
    """Training, validation and test split in TFDS's words."""
    named = config.dataset.splits
    return named.train, named.validation, named.test


def train(config: PipelineConfig, pictures: list, seed: int) -> dict:
    """Trains with a seed, and tells the IoU on the validation and the test split."""
    settings = config.trainer.model_copy(update={"seed": seed})
    data, *judged = pictures
    trained = one_training.train(settings, len(config.classes), data, judged)
    result = {
        "seed": seed,
        "seconds": round(trained.seconds, 1),
        "processor_seconds": round(trained.processor_seconds, 1),
    }
    for split, matrix in zip(_SPLITS, trained.matrices, strict=True):
        iou = one_training.class_iou(matrix)
        by_class = zip(config.classes.names, iou.tolist(), strict=True)
        result[split] = {"mean_iou": float(iou.mean())} | {f"iou_{n}": v for n, v in by_class}
    return result


def table(rows: list[dict]) -> str:
    """Mean, standard deviation, least and floor of each metric."""
    lines = [f"{'':<25} mean    s.d.    least   mean - 3 s.d."]
    for split in _SPLITS:
        for metric in rows[0][split]:
            values = [row[split][metric] for row in rows]
            mean = statistics.mean(values)
            deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
            lines.append(
                f"{split + ' ' + metric:<25} {mean:.4f}  {deviation:.4f}  {min(values):.4f}  "
                f"{mean - 3 * deviation:.4f}"
            )
    spent = statistics.mean(row["processor_seconds"] for row in rows)
    lines.append(f"{len(rows)} trainings, {spent:.0f} s of processor time each")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
