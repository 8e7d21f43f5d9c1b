"""What does each setting bring?

    python tests/benchmarks/ablation.py [--table steps] [--seeds 2] [--epochs 4] [--out FILE]
    python tests/benchmarks/ablation.py --table length --pictures 3128 --seeds 3

`steps` goes from the tutorial's settings to those of `pets`, one at a time, each on top of
those before it; `variants` changes one setting of `pets_fast` with its encoder frozen, in as
few epochs; `length` trains it as long as it is meant to be, frozen and not, and longer. Every
row is a training of its own process, by the product's own code, on the first pictures of the
training split; it is judged on the split's last 552, never on the test split. It prints mean
IoU and pixel accuracy, mean over the seeds, and the mean IoU of each. What is in FILE already
is not done again.
`SEGLINE__DATASET__DATA_DIR` and `SEGLINE__TRAINER__ENCODER__WEIGHTS` say where data and weights
are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import one_training

_PETS, _TUTORIAL, _FAST = "pets", "pets_tutorial", "pets_fast"
# What is taken from pets.yaml in each step, on top of the steps before it.
STEPS = {
    "the tutorial's settings, in bfloat16": (("precision",),),
    "inputs in [-1, 1]": (("encoder", "input_range"),),
    "the encoder is fine-tuned, cosine": (
        ("encoder", "fine_tune_from_epoch"),
        ("encoder", "fine_tune_beyond_stride"),
        ("encoder", "fine_tune_learning_rate"),
        ("learning_rate_schedule",),
    ),
    "crops": (("augmentation",),),
    "separable decoder": (("decoder",),),
    "Jaccard loss beside the cross-entropy": (("jaccard_weight",),),
    "the encoder sees the picture enlarged": (("encoder", "enlarge"),),
}
_FROZEN = "trainer.encoder.fine_tune_from_epoch=null"
# What is changed in pets_fast.yaml, by itself, beside the frozen encoder.
VARIANTS = {
    "pets_fast, frozen": _FROZEN,
    "inputs in [0, 1]": f"{_FROZEN} trainer.encoder.input_range=[0,1]",
    "the encoder is fine-tuned": "trainer.encoder.fine_tune_beyond_stride=1 "
    "trainer.encoder.fine_tune_learning_rate=0.0003",
    "cross-entropy alone": f"{_FROZEN} trainer.jaccard_weight=0",
    "balanced class weights": f"{_FROZEN} trainer.class_weights=balanced",
    "flips alone": f"{_FROZEN} trainer.augmentation.min_scale=1",
}
# What a longer training may take: the order after few epochs is not that after many.
LENGTH = {
    "pets_fast, frozen": f"{_FROZEN} trainer.epochs=20",
    "pets_fast": "trainer.epochs=20",
    "pets: the encoder sees the picture enlarged": "trainer.epochs=20 trainer.encoder.enlarge=1.5",
    "40 epochs": "trainer.epochs=40",
    "40 epochs, crops from 0.65": "trainer.epochs=40 trainer.augmentation.min_scale=0.65",
}
TABLES = {"steps": STEPS, "variants": VARIANTS, "length": LENGTH}
_JUDGED = 552  # 15 % of the training split


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", choices=TABLES, default="steps")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--epochs",
        type=int,
        default=4,
        help="of each training; `steps` fine-tunes in the last quarter, `length` has its own",
    )
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--out", default="ablation.jsonl", help="a line for each training")
    parser.add_argument("--one", nargs=2, metavar=("ROW", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        row, seed = options.one[0], int(options.one[1])
        values = settings(options.table, row, seed, options.epochs)
        print(json.dumps({"row": row, "seed": seed} | train(values, options.pictures)))
        return
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    out = Path(options.out)
    for seed in range(options.seeds):
        for row in TABLES[options.table]:
            done = (
                [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
            )
            if any(one["row"] == row and one["seed"] == seed for one in done):
                continue
            command = [sys.executable, __file__, "--one", row, str(seed)]
            command += ["--table", options.table]
            command += ["--epochs", str(options.epochs), "--pictures", str(options.pictures)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            with out.open("a") as file:
                file.write(ran.stdout.splitlines()[-1] + "\n")
            print(ran.stdout.splitlines()[-1], flush=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    print(f"\n{'':<40} mean IoU  accuracy  border   each seed")
    for name in TABLES[options.table]:
        found = [one for one in rows if one["row"] == name]
        means = [statistics.mean(one[key] for one in found) for key in ("mean_iou", "accuracy")]
        border = statistics.mean(one["iou"][-1] for one in found)
        each = ", ".join(f"{one['mean_iou']:.4f}" for one in found)
        print(f"{name:<40} {means[0]:.4f}    {means[1]:.4f}    {border:.4f}   {each}")


def settings(table: str, row: str, seed: int, epochs: int) -> dict:
    """The trainer's settings of a row."""
    from pipeline.config.loading import load_config, override_config

    if table != "steps":
        config = override_config(load_config(_FAST), TABLES[table][row])
        values = config.trainer.model_dump(mode="json")
        epochs = values["epochs"] if table == "length" else epochs
    else:
        best, values = (
            load_config(name).trainer.model_dump(mode="json") for name in (_PETS, _TUTORIAL)
        )
        for keys in list(STEPS.values())[: list(STEPS).index(row) + 1]:
            for key in keys:
                source, target = best, values
                for name in key[:-1]:
                    source, target = source[name], target[name]
                target[key[-1]] = source[key[-1]]
        if values["encoder"]["fine_tune_from_epoch"]:
            values["encoder"]["fine_tune_from_epoch"] = epochs * 3 // 4
    return {**values, "epochs": epochs, "seed": seed, "cache": "none"}


def train(values: dict, pictures: int) -> dict:
    """Trains by a row's settings and counts the confusion matrix of the judged pictures."""
    from components.trainer.config import TrainerConfig
    from pipeline.config.loading import load_config

    config = load_config(_PETS)
    data = one_training.load_pictures(config, f"train[:{pictures}]")
    judged = one_training.load_pictures(config, f"train[-{_JUDGED}:]")
    trained = one_training.train(
        TrainerConfig.model_validate(values), len(config.classes), data, [judged]
    )
    (matrix,) = trained.matrices
    iou = one_training.class_iou(matrix)
    return {
        "mean_iou": float(iou.mean()),
        "accuracy": float(matrix.diagonal().sum() / matrix.sum()),
        "iou": iou.tolist(),
        "seconds": trained.seconds,
    }


if __name__ == "__main__":
    main()
