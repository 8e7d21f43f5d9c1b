"""What does a Beam engine cost, and what does a second worker bring?

    python tests/benchmarks/beam_engines.py --rounds 3

ExampleGen on drawn pictures, on this machine's threads and through Beam's portable job service
with worker pools in processes of their own (the road to Flink): with one worker and with two;
and a pipeline of one element, which is the engine's own time. By turns; the workers are new for
each pipeline, as they are for a step, so that their start is part of it. Prints medians: of the
clock, and of the processors' time in all processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "support")]
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}

import apache_beam as beam  # noqa: E402
import beam_servers  # noqa: E402
import psutil  # noqa: E402
from example_generation import generate  # noqa: E402

from components.common.beam_engine import EnginePipeline  # noqa: E402
from components.datasets.synthetic_pets import SyntheticPets  # noqa: E402
from components.example_gen.config import DatasetConfig  # noqa: E402
from pipeline.config.beam import BeamConfig  # noqa: E402
from pipeline.config.loading import load_config  # noqa: E402

THREADS = "--direct_running_mode=multi_threading"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    config = load_config("quickstart")
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with engines() as runners, tempfile.TemporaryDirectory() as folder:
        dataset = drawn(config.dataset, folder, options.pictures)
        for index in range(options.rounds):
            for name, runner in runners.items():
                place = Path(folder, f"{index}-{name}")
                args = tuple(runner.args_of("TfdsExampleGen"))
                for work, do in (
                    ("one element", partial(one_element, args)),
                    ("ExampleGen", partial(generate, dataset, config.classes, place, args)),
                ):
                    found.setdefault((name, work), []).append(measure(do))
    for (name, work), measured in found.items():
        clock, processors = (statistics.median(times) for times in zip(*measured, strict=True))
        print(f"{name:16} {work:12} {clock:6.1f} s, processors {processors:6.1f} s")


class ManyPets(SyntheticPets):
    """As many of the drawn pictures as are wanted."""

    count = 0

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        found = super()._split_generators(dl_manager)
        return found | {"train": self._generate_examples(0, self.count)}


def drawn(config: DatasetConfig, folder: str, count: int) -> DatasetConfig:
    """A dataset of so many pictures for training."""
    ManyPets.count = count
    ManyPets(data_dir=folder).download_and_prepare()
    return config.model_copy(update={"name": ManyPets.name, "data_dir": folder})


@contextlib.contextmanager
def engines() -> Iterator[dict[str, BeamConfig]]:
    """Name -> runner."""
    runners = {
        f"{count} thread{'s' * (count > 1)}": BeamConfig(
            args=(THREADS, f"--direct_num_workers={count}")
        )
        for count in (1, 2)
    }
    with contextlib.ExitStack() as stack:
        for count in (1, 2):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            engine = stack.enter_context(
                beam_servers.portable_engine(folder, {**os.environ, "PATH": path}, workers=count)
            )
            name = f"{count} remote worker{'s' * (count > 1)}"
            runners[name] = BeamConfig(runner="PortableRunner", args=tuple(engine.args))
        yield runners


def one_element(args: tuple[str, ...]) -> None:
    """Nothing but the engine's own work."""
    with EnginePipeline(args) as pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(abs)


def measure(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds that it takes, on the clock and of the processors."""
    started, used = time.perf_counter(), processor_seconds()
    do()
    return time.perf_counter() - started, processor_seconds() - used


def processor_seconds() -> float:
    """Of this process and all that it has started; workers that have ended wait for their pool."""
    this = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (this, *this.children(recursive=True)))


if __name__ == "__main__":
    main()
