"""How fast are ExampleGen and Transform, do they stay small, and what do they leave on disk?

    python tests/benchmarks/data_steps.py [--config pets] [--rounds 3] [--copies 5]

runs the steps up to Transform on a tenth of the dataset and on all of it, each step as a
process of its own, interleaved with one tf.data loop that decodes the same pictures and masks
and resizes them. Start-up drops out: what counts is the difference between the whole and the
tenth. The dataset is the config's, its files several times over (by links), so that the
difference is well above what start-up varies by. Prints the median ratio of the times, the
peak memory of the whole beside that of the tenth (of a step's largest process), and the size
of the examples beside that of the dataset's files. `SEGLINE__DATASET__DATA_DIR` says where
the data is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

STEPS = ("TfdsExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
MEASURED = ("TfdsExampleGen", "Transform")
PARTS = {
    "tenth": {"train": "train[:9%]", "validation": "train[9%:10%]", "test": "test[:10%]"},
    "whole": {"train": "train[:95%]", "validation": "train[95%:]", "test": "test"},
}
LOOP = "tf.data loop"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="pets")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=5, help="of the config's dataset")
    parser.add_argument("--loop", choices=PARTS, help="(used by the benchmark itself)")
    options = parser.parse_args()
    if options.loop:
        loop(options.config, PARTS[options.loop])
        return

    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "SEGLINE__DATASET__DATA_DIR": repeat_dataset(options.config, folder, options.copies),
            # The copies have the same names; what TFDS calls them differs.
            "SEGLINE__DATASET__FEATURES__EXAMPLE_ID": "null",
        }
        for number in range(options.rounds):
            for part, splits in PARTS.items():
                root = f"{folder}/{number}-{part}"
                command = [sys.executable, __file__, "--config", options.config, "--loop", part]
                found.setdefault((LOOP, part), []).append(measure(command))
                for step in STEPS:
                    command = [sys.executable, "-m", "pipeline.kubeflow.node", "--node", step]
                    command += ["--config-file", options.config, "--job-id", "benchmark"]
                    environment = {
                        f"SEGLINE__DATASET__SPLITS__{k.upper()}": f"'{v}'"
                        for k, v in splits.items()
                    }
                    environment["SEGLINE__RUN__ROOT"] = root
                    found.setdefault((step, part), []).append(measure(command, environment))
        report(found, options.rounds)
        report_disk(f"{root}/{options.config}", options.config)


def repeat_dataset(name: str, folder: str, copies: int) -> str:
    """Makes a dataset of several copies of the config's, by links to its files.

    Returns:
      Its `data_dir`.
    """
    from components.example_gen.dataset import open_dataset
    from pipeline.config.loading import load_config

    builder = open_dataset(load_config(name).dataset)
    target = Path(folder, "data", builder.name, str(builder.version))
    target.mkdir(parents=True)
    for file in Path(builder.data_dir).glob("*.json"):
        (target / file.name).write_bytes(file.read_bytes())
    described = json.loads((target / "dataset_info.json").read_text())
    for split in described["splits"]:
        paths = builder.info.splits[split["name"]].filepaths * copies
        for index, path in enumerate(paths):
            stem = str(path.name).rsplit("-", 3)[0]
            (target / f"{stem}-{index:05d}-of-{len(paths):05d}").symlink_to(path)
        split["shardLengths"] *= copies
        split["numBytes"] = str(int(split["numBytes"]) * copies)
    (target / "dataset_info.json").write_text(json.dumps(described))
    return str(target.parents[1])


def report(found: dict[tuple[str, str], list[tuple[float, float]]], rounds: int) -> None:
    """Prints times and memory."""
    seconds = {
        name: [
            whole[0] - tenth[0]
            for tenth, whole in zip(found[name, "tenth"], found[name, "whole"], strict=True)
        ]
        for name in (LOOP, *MEASURED)
    }
    print(f"{rounds} interleaved rounds; times are those of the other nine tenths")
    for name in (LOOP, *MEASURED):
        memory = [
            whole[1] / tenth[1]
            for tenth, whole in zip(found[name, "tenth"], found[name, "whole"], strict=True)
        ]
        peak = statistics.median(whole[1] for whole in found[name, "whole"])
        print(
            f"{name:16} {statistics.median(seconds[name]):6.1f} s   "
            f"memory, whole against tenth: {statistics.median(memory):.2f} ({peak:.0f} MB)"
        )
    ratios = [sum(steps) / loop for loop, *steps in zip(*seconds.values(), strict=True)]
    print(f"ExampleGen and Transform / loop: {statistics.median(ratios):.2f} (goal: at most 1.5)")


def report_disk(run_dir: str, name: str) -> None:
    """Prints what the examples take, beside the dataset's own files."""
    from components.example_gen.dataset import open_dataset
    from pipeline.config.loading import load_config

    builder = open_dataset(load_config(name).dataset)
    count = sum(builder.info.splits[split].num_examples for split in ("train", "test"))
    source = sum(builder.info.splits[split].num_bytes for split in ("train", "test"))
    files = [file for file in Path(run_dir, "artifacts").rglob("*") if file.is_file()]
    ours = sum(file.stat().st_size for file in files)
    print(
        f"on disk: {ours / count / 1e3:.1f} KB per example in all artifacts, "
        f"{ours / source:.2f} times the dataset's records (goal: at most 1.2, or 64 KB)"
    )


def measure(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of a process with all that it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(output)
    return time.perf_counter() - started, usage.ru_maxrss / 1e3


def loop(name: str, splits: dict[str, str]) -> None:
    """Decodes and resizes every picture and mask, and keeps nothing."""
    import tensorflow as tf

    from components.example_gen.dataset import open_dataset
    from pipeline.config.loading import load_config

    config = load_config(name)
    builder = open_dataset(config.dataset)
    features, size = config.dataset.features, config.transform.image_size

    def prepare(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.resize(example[features.image], size) / 255
        return image, tf.image.resize(example[features.mask], size, "nearest")

    for expression in splits.values():
        pictures = builder.as_dataset(split=expression).map(prepare, tf.data.AUTOTUNE)
        for _ in pictures.batch(64).prefetch(tf.data.AUTOTUNE):
            pass


if __name__ == "__main__":
    main()
