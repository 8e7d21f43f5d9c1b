"""What should the Transform step leave on disk? Size per example and pictures per second.

    python tests/benchmarks/materialise.py RUN_DIR

takes the folder of a finished run, such as runs/pets, and compares, interleaved in one
process, medians of several rounds:

  on the fly  the raw examples through the transform graph (what segline does)
  float32     materialised as TFX would: a tf.Example of float lists, int64 masks
  uint8       materialised compactly: raw bytes of the rounded picture and the mask
  cache       the second pass over `on the fly` with `Dataset.cache()`
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run
import tensorflow as tf

from components.trainer import input_pipeline


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--count", type=int, default=1024, help="examples to use")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    transform = finished_run.transform_graph(options.run_dir)
    examples = finished_run.artifact(options.run_dir, "TfdsExampleGen", "examples")
    raw = input_pipeline.read_examples([f"{examples}/Split-train/*"]).take(options.count)
    prepared = input_pipeline.prepared_pictures(raw, transform)
    count = input_pipeline.count_examples(raw)
    height, width = next(iter(prepared))[1].shape

    with tempfile.TemporaryDirectory() as folder:
        raw_bytes = sum(len(record) for record in raw.as_numpy_iterator())
        float_file, uint8_file = f"{folder}/float32.gz", f"{folder}/uint8"
        write(prepared, float_file, as_floats, "GZIP")
        write(prepared, uint8_file, as_bytes, "")
        cached = prepared.cache()
        ways: dict[str, tuple[tf.data.Dataset, float]] = {
            "on the fly": (prepared, raw_bytes),
            "float32": (
                read(float_file, "GZIP", lambda s: parse_floats(s, height, width)),
                Path(float_file).stat().st_size,
            ),
            "uint8": (
                read(uint8_file, "", lambda s: parse_bytes(s, height, width)),
                Path(uint8_file).stat().st_size,
            ),
            "cache": (cached, 0),
        }
        for _ in cached:  # fills it
            pass
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, (dataset, _) in ways.items():
                started = time.perf_counter()
                for _ in dataset.batch(64):
                    pass
                seconds[name].append(time.perf_counter() - started)

    base = statistics.median(seconds["on the fly"])
    print(f"{count} examples, {height}x{width}, medians of {options.rounds} interleaved rounds")
    print(f"{'':12} {'KB/example on disk':>20} {'pictures/s':>12} {'against on the fly':>20}")
    for name, (_, size) in ways.items():
        median = statistics.median(seconds[name])
        kilobytes = size / count / 1000
        print(f"{name:12} {kilobytes:20.1f} {count / median:12.0f} {base / median:20.2f}")


def as_floats(image: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.train.Feature]:
    """What TFX's Transform materialises: lists of numbers."""
    floats = tf.train.FloatList(value=image.numpy().ravel())
    ints = tf.train.Int64List(value=mask.numpy().ravel())
    return {"image": tf.train.Feature(float_list=floats), "mask": tf.train.Feature(int64_list=ints)}


def as_bytes(image: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.train.Feature]:
    """The picture rounded to 8 bits, and the mask, as raw bytes."""
    rounded = tf.cast(tf.round(image * 255), tf.uint8).numpy().tobytes()
    return {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in (("image", rounded), ("mask", mask.numpy().tobytes()))
    }


def write(dataset: tf.data.Dataset, path: str, encode: Callable, compression: str) -> None:
    """Writes all elements as tf.Examples."""
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type=compression)) as writer:
        for image, mask in dataset:
            features = tf.train.Features(feature=encode(image, mask))
            writer.write(tf.train.Example(features=features).SerializeToString())


def read(path: str, compression: str, parse: Callable) -> tf.data.Dataset:
    """Reads them back, parsing in parallel."""
    return tf.data.TFRecordDataset(path, compression).map(parse, tf.data.AUTOTUNE)


def parse_floats(serialized: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Inverse of `as_floats`."""
    spec = {
        "image": tf.io.FixedLenFeature([height, width, 3], tf.float32),
        "mask": tf.io.FixedLenFeature([height, width], tf.int64),
    }
    parsed = tf.io.parse_single_example(serialized, spec)
    return parsed["image"], tf.cast(parsed["mask"], tf.uint8)


def parse_bytes(serialized: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Inverse of `as_bytes`."""
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "mask")}
    parsed = tf.io.parse_single_example(serialized, spec)
    image = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [height, width, 3])
    mask = tf.reshape(tf.io.decode_raw(parsed["mask"], tf.uint8), [height, width])
    return tf.cast(image, tf.float32) / 255, mask


if __name__ == "__main__":
    main()
