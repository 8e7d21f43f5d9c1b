"""How fast is the Evaluator beside a plain `model.predict`, and does its memory stay flat?

    python tests/benchmarks/evaluation.py RUN_DIR

takes the folder of a finished pipeline (such as runs/pets_tutorial) and evaluates a model
like its latest (the weights don't matter for the time) on a tenth of the test split and on
all of it, with TFX's Evaluator and with one `keras.Model.predict` over the same examples
through the same transform graph. Every
measurement is a process of its own; they are interleaved. Start-up drops out: what counts
is the difference between the whole and the tenth. Prints the median ratio, and the peak
memory of the whole beside that of the tenth.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run

WAYS = ("evaluator", "predict")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1, help="take the split this many times")
    parser.add_argument("--measure", choices=WAYS, help="(used by the benchmark itself)")
    parser.add_argument("--examples", help="(likewise)")
    parser.add_argument("--model", help="(likewise)")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.run_dir, options.examples, options.model)
        return

    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        counts = write_parts(options.run_dir, folder, options.repeat)
        write_model(options.run_dir, f"{folder}/model")
        found: dict[tuple[str, str], list[dict]] = {}
        for _ in range(options.rounds):
            for way in WAYS:
                for part in counts:
                    found.setdefault((way, part), []).append(
                        run(way, options.run_dir, part, f"{folder}/model")
                    )
    tenth, whole = counts
    rates = {}
    print(f"{counts[tenth]} and {counts[whole]} examples, {options.rounds} interleaved rounds")
    for way in WAYS:
        pairs = list(zip(found[way, tenth], found[way, whole], strict=True))
        rates[way] = [
            (counts[whole] - counts[tenth]) / (large["seconds"] - small["seconds"])
            for small, large in pairs
        ]
        memory = statistics.median(large["peak_mb"] / small["peak_mb"] for small, large in pairs)
        print(
            f"{way:10} {statistics.median(rates[way]):6.1f} examples/s   "
            f"memory, whole against tenth: {memory:.2f} "
            f"({statistics.median(large['peak_mb'] for _, large in pairs):.0f} MB)"
        )
    ratios = [a / b for a, b in zip(rates["evaluator"], rates["predict"], strict=True)]
    print(f"evaluator / predict: {statistics.median(ratios):.2f} (goal: at least 0.7)")


def write_parts(run_dir: str, folder: str, repeat: int) -> dict[str, int]:
    """Writes a tenth of the test split and all of it as Examples; gives their counts."""
    import tensorflow as tf

    files = glob.glob(
        f"{finished_run.artifact(run_dir, 'TfdsExampleGen', 'examples')}/Split-test/*"
    )
    records = list(tf.data.TFRecordDataset(sorted(files), "GZIP").as_numpy_iterator()) * repeat
    counts = {}
    for name, count in (("tenth", len(records) // 10), ("whole", len(records))):
        split = f"{folder}/{name}/Split-test"
        os.makedirs(split)
        for shard in range(4):
            with tf.io.TFRecordWriter(f"{split}/{shard}.gz", "GZIP") as writer:
                for record in records[:count][shard::4]:
                    writer.write(record)
        counts[f"{folder}/{name}"] = count
    return counts


def write_model(run_dir: str, folder: str) -> None:
    """Exports a model as today's code does."""
    from components.common.picture_fit import PictureFit
    from components.trainer.config import ServingConfig
    from components.trainer.export import export_model

    model, card, transform = finished_run.network(run_dir)
    fit = PictureFit(image_size=card["image_size"], fit=card["fit"])
    export_model(
        model, transform, card["classes"], f"{folder}/Format-Serving", {}, ServingConfig(), fit
    )


def run(way: str, run_dir: str, examples: str, model: str) -> dict:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, run_dir, "--measure", way]
    command += ["--examples", examples, "--model", model]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(process.stderr)
    return json.loads(process.stdout.splitlines()[-1])


def measure(way: str, run_dir: str, examples: str, model: str) -> None:
    """Prints seconds and peak memory, start-up included."""
    started = time.perf_counter()
    {"evaluator": evaluate, "predict": predict}[way](run_dir, examples, model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak}))


def evaluate(run_dir: str, examples: str, model: str) -> None:
    """TFX's Evaluator with our metrics and slices, as the pipeline runs it."""
    from google.protobuf import json_format
    from tfx.components.evaluator import executor
    from tfx.dsl.components.base import base_beam_executor
    from tfx.types import artifact_utils, standard_artifacts

    from components.common.model_card import read_card
    from components.evaluator.eval_config import make_eval_config
    from pipeline.config.loading import load_config

    config = load_config(Path(run_dir).name, environment={})
    inputs, outputs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for group, key, kind, uri in (
            (inputs, "examples", standard_artifacts.Examples, examples),
            (inputs, "model", standard_artifacts.Model, model),
            (outputs, "evaluation", standard_artifacts.ModelEvaluation, f"{folder}/evaluation"),
            (outputs, "blessing", standard_artifacts.ModelBlessing, f"{folder}/blessing"),
        ):
            item = kind()
            item.uri = uri
            os.makedirs(uri, exist_ok=True)
            group[key] = [item]
        inputs["examples"][0].split_names = artifact_utils.encode_split_names(["test"])
        inputs["examples"][0].set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        classes = read_card(f"{model}/Format-Serving")["classes"]
        eval_config = make_eval_config(config.evaluator, classes, config.dataset.features.slice_by)
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=config.run.beam.args_of("Evaluator"), tmp_dir=folder, unique_id="1"
        )
        executor.Executor(context).Do(
            inputs,
            outputs,
            {
                "eval_config": json_format.MessageToJson(eval_config),
                "example_splits": json.dumps(["test"]),
                "module_path": "components.evaluator.object_size",
            },
        )


def predict(run_dir: str, examples: str, model: str) -> None:
    """`keras.Model.predict` of the same network."""
    from components.trainer import input_pipeline

    del model
    unet, _, transform = finished_run.network(run_dir)
    serialized = input_pipeline.read_examples([f"{examples}/Split-test/*"])
    pictures = input_pipeline.prepared_pictures(serialized, transform)
    images = pictures.map(lambda image, mask: image).batch(64).prefetch(2)
    unet.predict(images, verbose=0).argmax(-1)


if __name__ == "__main__":
    main()
