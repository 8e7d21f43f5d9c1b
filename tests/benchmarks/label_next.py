"""Is what `segline label next` chooses worth more than pictures chosen by chance?

    python tests/benchmarks/label_next.py --out FOLDER [--seeds 5]

For each seed: the quickstart's model from 100 of its 480 training pictures, chosen by chance; then
50 more, once chosen by `label next`'s own code and once by chance; trained anew on 150, with the
same seed. Tells the mean IoU on the test split, paired. What is in FOLDER is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    from pipeline.config.loading import PipelineConfig

_LABELLED, _MORE = 100, 50
_VALIDATION = 10  # of the 100; nothing is chosen by it


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: the quickstart's")
    options = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    from pipeline.config.loading import load_config, override_config

    chosen = f"trainer.epochs={options.epochs}" if options.epochs else ""
    config = override_config(load_config("quickstart"), chosen)
    rows = [seed_row(config, options.out.resolve(), seed) for seed in range(options.seeds)]
    print(table(rows))


def seed_row(config: PipelineConfig, out: Path, seed: int) -> dict[str, float]:
    """Mean IoU of a seed's three trainings: with 100 pictures, chosen 150, and by chance 150."""
    done = out / f"seed-{seed}" / "row.json"
    if done.exists():
        return json.loads(done.read_text())
    done.parent.mkdir(parents=True, exist_ok=True)
    import numpy as np

    train, test = drawn(config, out)
    order = np.random.default_rng(seed).permutation(len(train)).tolist()
    first, rest = order[:_LABELLED], order[_LABELLED:]
    model = trained(config, train, first, seed, done.parent / "first")
    chosen = choose(model, train, first, rest)
    more = {"chosen": first + chosen, "chance": first + rest[:_MORE]}
    row = {"first": mean_iou(model, test)}
    for name, pictures in more.items():
        model = trained(config, train, pictures, seed, done.parent / name)
        row[name] = mean_iou(model, test)
    done.write_text(json.dumps(row))
    print(f"seed {seed}: {row}", flush=True)
    return row


def drawn(config: PipelineConfig, out: Path) -> tuple[list[bytes], list[bytes]]:
    """The quickstart's training and test pictures, as examples."""
    from components.example_gen.dataset import open_dataset
    from components.example_gen.encoding import ExampleEncoder

    dataset = config.dataset.model_copy(update={"data_dir": str(out / "tensorflow_datasets")})
    builder = open_dataset(dataset)
    encoder = ExampleEncoder(builder.info.features, dataset, config.classes)

    def records(split: str) -> list[bytes]:
        elements = builder.as_dataset(split=split, decoders=encoder.decoders)
        return [one.record for one in encoder.encode(list(elements.as_numpy_iterator()))]

    return records("train"), records("test")


def trained(
    config: PipelineConfig, records: list[bytes], which: list[int], seed: int, folder: Path
) -> str:
    """Trains by the Trainer's code on some of the examples; gives the SavedModel's path."""
    import keras
    import tensorflow as tf
    from tfx.components.trainer.fn_args_utils import FnArgs

    from components.trainer.run_fn import run_fn

    model = folder / "Format-Serving"
    if (model / "saved_model.pb").exists():
        return str(model)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"validation": which[:_VALIDATION], "train": which[_VALIDATION:]}
    for name, indices in files.items():
        with tf.io.TFRecordWriter(str(folder / f"{name}.gz"), "GZIP") as writer:
            for index in indices:
                writer.write(records[index])
    settings = config.trainer.model_copy(update={"seed": seed})
    run_fn(
        FnArgs(
            train_files=[str(folder / "train.gz")],
            eval_files=[str(folder / "validation.gz")],
            transform_graph_path=str(transform_graph(config, folder.parents[1])),
            serving_model_dir=str(model),
            model_run_dir=str(folder / "model_run" / "1"),
            custom_config={
                "trainer": settings.model_dump_json(),
                "transform": config.transform.model_dump_json(),
                "classes": config.classes.model_dump_json(),
            },
        )
    )
    keras.utils.clear_session()
    return str(model)


def transform_graph(config: PipelineConfig, out: Path) -> Path:
    """The Transform step's graph, which learns nothing from the data; made once."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components.common import schema
    from components.transform.preprocessing import preprocessing_fn

    folder = out / "transform_graph"
    if folder.exists():
        return folder
    names = (schema.IMAGE, schema.MASK, schema.EXAMPLE_ID)
    spec = {name: tf.io.FixedLenFeature([1], tf.string) for name in names}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    custom = {
        "transform": config.transform.model_dump_json(),
        "classes": config.classes.model_dump_json(),
    }
    with beam.Pipeline() as pipeline, tft_beam.Context(str(out / "tft")):
        nothing = pipeline | beam.Create([], reshuffle=False)
        made = (nothing, metadata) | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, custom)
        )
        _ = made | tft_beam.WriteTransformFn(str(folder))
        raw = str(folder / tft.TFTransformOutput.RAW_METADATA_DIR)
        _ = metadata | tft_beam.WriteMetadata(raw, pipeline)
    return folder


def choose(model: str, records: list[bytes], first: list[int], rest: list[int]) -> list[int]:
    """Fifty of the others, as `label next` would."""
    from components.common import schema
    from components.common.served_model import ServedModel
    from components.labels import selection
    from components.labels.inference import Inference
    from components.labels.scores import uncertainty
    from components.predictor.picture_files import PictureFile

    inference = Inference(ServedModel(model))
    known = selection.features_of(inference, (records[index] for index in first))
    candidates = []
    seen = inference.see((records[index] for index in rest), flip=True)
    for index, one in zip(rest, seen, strict=True):
        counted = one.labels != schema.IGNORE_INDEX
        numbers = uncertainty(one.probabilities, one.mirrored, counted)
        file = PictureFile(str(index), str(index))
        candidates.append(selection.Candidate(file, *numbers, one.features))
    return [int(one.file.path) for one in selection.choose(candidates, _MORE, known)]


def mean_iou(model: str, records: list[bytes]) -> float:
    """Of all pixels together, by the model's own counts."""
    import numpy as np
    import tensorflow as tf

    count = tf.saved_model.load(model).signatures["evaluate"]
    matrix = np.zeros((), np.int64)
    for start in range(0, len(records), 20):
        counted = count(examples=tf.constant(records[start : start + 20]))
        matrix = matrix + counted["confusion_matrix"].numpy().sum(0)
    hit = np.diag(matrix)
    return float((hit / (matrix.sum(0) + matrix.sum(1) - hit)).mean())


def table(rows: list[dict[str, float]]) -> str:
    """Means, and the paired difference with its spread."""
    lines = [f"{name}: {statistics.mean(row[name] for row in rows):.4f}" for name in rows[0]]
    apart = [row["chosen"] - row["chance"] for row in rows]
    spread = statistics.stdev(apart) if len(apart) > 1 else float("nan")
    lines.append(
        f"chosen - chance: {statistics.mean(apart):+.4f}, s.d. {spread:.4f}, "
        f"{sum(one > 0 for one in apart)} of {len(apart)} better"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
