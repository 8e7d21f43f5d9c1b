"""Does `segline label check` find the wrong labels, and is a model better without them?

    python tests/benchmarks/label_check.py --out FOLDER [--seeds 5] [--epochs N]

Writes the quickstart's pictures as a folder of one's own, and the masks of 5 % of the training
pictures wrong: shifted by a quarter of the picture, swapped with another's, or emptied. Runs the
chain on these labels, `segline label check` on that run, and the chain again, once for each seed:
without what the check marks, without what is known to be wrong, and on the labels as they were.
Test and validation masks are always right. What is in FOLDER is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

_COUNTS = {"train": 432, "validation": 48, "test": 120}
_PLANTED = 22  # 5 % of the training pictures
_KINDS = ("shifted", "swapped", "emptied")
_BACKGROUND = 2
_SEGLINE = "from pipeline.cli import main; main()"


def main() -> None:
    """Does what is missing, and prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    parser.add_argument("--seeds", type=int, default=5, help="of the last two trainings")
    parser.add_argument("--epochs", type=int, help="default: the quickstart's")
    options = parser.parse_args()
    out = options.out.resolve()
    planted = write_data(out)
    table = out / "runs" / "planted" / "label-check" / "labels.csv"
    if not table.exists():
        run(out, options.epochs, "planted")
        check = ("label", "check", "--config", "planted.yaml", "--mark", str(_PLANTED))
        call(out, "-c", _SEGLINE, *check)
    kept = out / (f"scores-{options.epochs}.json" if options.epochs else "scores.json")
    score: dict[str, list[float]] = json.loads(kept.read_text()) if kept.exists() else {}
    known = out / "known.txt"
    known.write_text("\n".join(planted))
    lists = {"left_out": str(table), "known_left_out": str(known), "clean": None}
    for seed in range(options.seeds):
        for name, left_out in lists.items():
            scores = score.setdefault(name, [])
            if seed == len(scores):
                scores.append(run(out, options.epochs, name, left_out, seed))
                kept.write_text(json.dumps(score))
    with table.open(newline="") as file:
        first = [row["example_id"] for row in csv.DictReader(file)][:_PLANTED]
    found = {kind: sum(planted.get(name) == kind for name in first) for kind in _KINDS}
    less = {
        name: np.subtract(score[name], score["clean"]) for name in ("left_out", "known_left_out")
    }
    result = {
        "planted": {kind: list(planted.values()).count(kind) for kind in _KINDS},
        "found": found,
        "precision": sum(found.values()) / _PLANTED,
        "mean_iou": score,
        "less than clean": {
            name: {"mean": one.mean(), "deviation": one.std(ddof=1)} for name, one in less.items()
        },
    }
    (out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


def write_data(out: Path) -> dict[str, str]:
    """Draws pictures and masks; gives the picture's name -> kind of each wrong mask."""
    from components.datasets.synthetic_pets import draw_pet

    told = out / "planted.json"
    if told.exists():
        return json.loads(told.read_text())
    for folder in ("images", "clean", "planted"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    masks: dict[str, np.ndarray] = {}
    for split, count in _COUNTS.items():
        first = {"train": 0, "validation": _COUNTS["train"], "test": 1_000_000}[split]
        names = []
        for seed in range(first, first + count):
            picture, mask, species = draw_pet(seed)
            names.append(f"{species}_{seed:07d}")
            Image.fromarray(picture).save(out / "images" / f"{names[-1]}.jpg", quality=95)
            masks[names[-1]] = mask
        (out / f"{split}.txt").write_text("\n".join(f"{name}.jpg" for name in names))
    train = list(masks)[: _COUNTS["train"]]
    chosen = np.random.default_rng(0).choice(train, _PLANTED, replace=False).tolist()
    kinds = {name: _KINDS[at % len(_KINDS)] for at, name in enumerate(chosen)}
    others = [name for name in chosen if kinds[name] == "swapped"]
    for name, mask in masks.items():
        kind = kinds.get(name)
        other = masks[others[(others.index(name) + 1) % len(others)]] if kind == "swapped" else mask
        Image.fromarray(mask).save(out / "clean" / f"{name}.png")
        Image.fromarray(spoiled(mask, kind, other)).save(out / "planted" / f"{name}.png")
    planted = {f"{name}.jpg": kind for name, kind in kinds.items()}
    told.write_text(json.dumps(planted))
    return planted


def spoiled(mask: np.ndarray, kind: str | None, other: np.ndarray) -> np.ndarray:
    """A wrong mask of the same size; None: as it is."""
    if kind == "shifted":
        down, right = (side // 4 for side in mask.shape)
        moved = np.full_like(mask, _BACKGROUND)
        moved[down:, right:] = mask[:-down, :-right]
        return moved
    if kind == "swapped":
        size = mask.shape[1], mask.shape[0]
        return np.asarray(Image.fromarray(other).resize(size, Image.Resampling.NEAREST))
    return np.full_like(mask, _BACKGROUND) if kind == "emptied" else mask


def run(
    out: Path, epochs: int | None, name: str, leave_out: str | None = None, seed: int = 0
) -> float:
    """Runs the chain, and gives the mean IoU on the test split."""
    config = yaml.safe_load((_ROOT / "pipeline" / "configs" / "quickstart.yaml").read_text())
    config["name"] = name
    config["dataset"] = {
        "name": "image_folder",
        "folder": {
            "images": "images",
            "masks": "clean" if name == "clean" else "planted",
            "split_by": "lists",
            "lists": {split: f"{split}.txt" for split in _COUNTS},
        },
        "data_dir": "tensorflow_datasets",
        **({"leave_out": leave_out} if leave_out else {}),
    }
    config["trainer"]["seed"] = seed
    if epochs:
        config["trainer"]["epochs"] = epochs
    config["evaluator"] |= {"min_mean_iou": 0.0, "min_class_iou": {}}
    (out / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    call(out, str(_ROOT / "pipeline" / "local_runner.py"), SEGLINE_CONFIG=f"{name}.yaml")
    shown = call(out, "-c", _SEGLINE, "lineage", "runs", "--json", "--config", f"{name}.yaml")
    return json.loads(shown)[0]["metrics"]["mean_iou"]


def call(out: Path, *command: str, **variables: str) -> str:
    """Calls Python in the folder, and gives what it prints."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=out,
        env={**os.environ, **quiet, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout, flush=True)
    return done.stdout


if __name__ == "__main__":
    main()
