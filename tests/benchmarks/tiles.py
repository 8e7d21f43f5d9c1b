"""What does seeing a picture through windows cost, in pixels, time and memory?

    python tests/benchmarks/tiles.py RUN_DIR [--sides 3000 30000]

takes the folder of a finished run with `transform.fit: tiles` on `synthetic_fields` (such as
runs/tiles_example), and prints
- for several overlaps, on how many pixels the windows' class is that of the same network over
  the whole scene at once, with the roads' IoU of both;
- the time of a sliding window by that of its network alone on the same windows, interleaved,
  as the median of ratios;
- the peak memory of `segline predict` on rasters of these sides, each in a process of its own;
- that of the served model, asked with one picture of these sides, as far as a request may go.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run

SCENE = 512
OVERLAPS = (0, 8, 16, 32, 64)
ROAD = 2


def main() -> None:
    """Prints the three parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sides", type=int, nargs="*", default=[1000, 3000])
    options = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    print_agreement(options.run_dir)
    print_time(options.run_dir, options.rounds)
    for side in options.sides:
        print_memory(options.run_dir, side)
    for side in options.sides:
        print_served_memory(options.run_dir, side)


def build(run_dir: str, size: tuple[int, int] | None = None):
    """The run's network for pictures of a size, with its weights; and how it sees pictures."""
    from components.common.picture_fit import PictureFit

    model, card, _ = finished_run.network(run_dir, size)
    model.load_weights(f"{finished_run.artifact(run_dir, 'Trainer', 'model')}/unet.weights.h5")
    return model, PictureFit(image_size=card["image_size"], fit=card["fit"], tiles=card["tiles"])


def network(model) -> Callable:
    """Probabilities of a batch of windows."""
    import tensorflow as tf

    return tf.function(
        lambda windows: tf.nn.softmax(model(windows, training=False)),
        input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)],
    )


def scenes(count: int, side: int) -> list:
    """Pictures and masks that no split has."""
    from components.datasets.synthetic_fields import draw_scene

    return [draw_scene(2_000_000 + number, side) for number in range(count)]


def print_agreement(run_dir: str) -> None:
    """Windows against the whole scene at once."""
    import numpy as np
    import tensorflow as tf

    from components.common.picture_fit import MIDDLE_GREY
    from components.common.windows import TilesConfig
    from components.trainer.sliding_window import SlidingWindow

    whole, _ = build(run_dir, (SCENE, SCENE))
    small, fit = build(run_dir)
    segment = network(small)

    def iou(found: np.ndarray, truth: np.ndarray) -> float:
        both = ((found == ROAD) & (truth == ROAD)).sum()
        return both / ((found == ROAD) | (truth == ROAD)).sum()

    data = scenes(6, SCENE)
    at_once = [
        np.argmax(whole(picture[None] / 255.0, training=False)[0], -1) for picture, _ in data
    ]
    expected = np.mean([iou(a, mask) for a, (_, mask) in zip(at_once, data, strict=True)])
    print(f"the whole scene at once: IoU of road {expected:.4f}")
    edge = min(fit.image_size) // 4
    inner = slice(edge, -edge), slice(edge, -edge)
    for overlap in OVERLAPS:
        slide = SlidingWindow(
            fit.image_size, TilesConfig(overlap=overlap), small.output_shape[-1], MIDDLE_GREY
        )
        same, found = [], []
        for (picture, mask), reference in zip(data, at_once, strict=True):
            tiled = slide.segment(tf.constant(picture / 255.0, tf.float16), segment)[0].numpy()
            same.append((tiled == reference)[inner].mean())
            found.append(iou(tiled, mask))
        print(
            f"overlap {overlap:3d}: the same class on {np.mean(same):.3%} of the pixels, "
            f"IoU of road {np.mean(found):.4f}"
        )


def print_time(run_dir: str, rounds: int) -> None:
    """Sliding window by network alone."""
    import tensorflow as tf

    from components.common import windows
    from components.common.picture_fit import MIDDLE_GREY
    from components.trainer.sliding_window import SlidingWindow

    model, fit = build(run_dir)
    segment = network(model)
    ((picture, _),) = scenes(1, 2048)
    prepared = tf.constant(picture / 255.0, tf.float16)
    slide = SlidingWindow(fit.image_size, fit.tiles, model.output_shape[-1], MIDDLE_GREY)
    size, overlap = windows.footprint(fit.image_size, fit.tiles)
    count = 1
    for window, shared in zip(size, overlap, strict=True):
        count *= len(windows.starts(2048, window, shared))
    batch = tf.random.uniform([8, *model.input_shape[1:]])
    sliding = tf.function(lambda: slide.segment(prepared, segment))

    def alone() -> None:
        for _ in range(-(-count // 8)):
            segment(batch)

    ratios = []
    for number in range(rounds + 1):
        taken = []
        for way in (sliding, alone):
            start = time.perf_counter()
            way()
            taken.append(time.perf_counter() - start)
        if number:  # the first traces
            ratios.append(taken[0] / taken[1])
    print(
        f"{count} windows of 2048x2048: {statistics.median(ratios):.2f} of the network's time "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def print_memory(run_dir: str, side: int) -> None:
    """Peak of `segline predict` on one raster."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/raster.tif"
        parts = [np.moveaxis(picture, -1, 0) for picture, _ in scenes(4, 1000)]
        place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 691e3, 0, -0.5, 5334e3)}
        shape = {"height": side, "width": side, "count": 3, "dtype": "uint8"}
        with rasterio.open(
            path, "w", driver="GTiff", tiled=True, photometric="RGB", **shape, **place
        ) as file:
            for top in range(0, side, 1000):
                for left in range(0, side, 1000):
                    part = parts[(3 * left + top) // 1000 % 4]
                    height, width = min(1000, side - top), min(1000, side - left)
                    file.write(part[:, :height, :width], window=Window(left, top, width, height))
        command = [str(Path(sys.executable).parent / "segline"), "predict", path]
        print_used(
            f"segline predict on {side}x{side}",
            [*command, "--model", run_dir, "--out", f"{folder}/out"],
        )


def print_served_memory(run_dir: str, side: int) -> None:
    """Peak of the SavedModel that answers for one picture."""
    import numpy as np
    from PIL import Image

    ask = """
import pathlib, sys
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
((_, name),) = served.structured_input_signature[1].items()
try:
    served(**{name.name: tf.constant([pathlib.Path(sys.argv[2]).read_bytes()])})
except tf.errors.InvalidArgumentError as error:
    sys.exit(error.message)
"""
    with tempfile.TemporaryDirectory() as folder:
        ((scene, _),) = scenes(1, 1000)
        times = -(-side // 1000)
        whole = np.tile(scene, (times, times, 1))[:side, :side]
        Image.MAX_IMAGE_PIXELS = None
        Image.fromarray(whole).save(f"{folder}/scene.jpg", quality=60)
        del whole
        model = finished_run.artifact(run_dir, "Trainer", "model") + "/Format-Serving"
        command = [sys.executable, "-c", ask, model, f"{folder}/scene.jpg"]
        print_used(f"the served model on {side}x{side}", command)


def print_used(what: str, command: list[str]) -> None:
    """Peak memory and time of a process."""
    start = time.monotonic()
    # Not `ru_maxrss`: a child's begins with its parent's, and this one has written a raster.
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))])
            time.sleep(0.1)
    spent = f"at most {peak / 1024:,.0f} MB, {time.monotonic() - start:.0f} s"
    print(f"{what}: {'refused' if process.returncode else spent}", flush=True)


if __name__ == "__main__":
    main()
