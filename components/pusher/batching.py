"""Batching parameters for TensorFlow Serving, measured where the server is to run.

With `--enable_batching` a server puts the pictures of several requests into one call of the model.
Whether that pays depends on the processor and on the model, so it is measured: the smallest batch
whose time per picture is within 5 % of the best. The other values follow the server's own guide
(tensorflow/serving 9d981c5: batching/README.md, "Performance Tuning"): as many threads as
processors; no waiting without a GPU; with one, a few milliseconds at most.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

from components.common.model_card import RequestLimits

FILE = "batching.config"
SIZES = (1, 2, 4, 8, 16, 32)
_ROUNDS = 5
_NEAR_THE_BEST = 1.05
_LONGEST_WAIT = 0.010  # seconds

_TEXT = """\
# Measured by `segline serving batching`: version {version}, {cpus} processors, {device}.
# Milliseconds a picture, of batches of each size: {measured}
# A picture that can't be decoded fails all that came into the same batch.
max_batch_size {{ value: {size} }}
batch_timeout_micros {{ value: {micros} }}
num_batch_threads {{ value: {cpus} }}
"""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a model's batches take.

    Attributes:
      seconds: size of a batch -> seconds for each of its pictures, the median.
      cpus: processors that the server may use.
      gpu: whether the model ran on one.
    """

    seconds: dict[int, float]
    cpus: int
    gpu: bool

    @property
    def size(self) -> int:
        """The smallest batch that is about as fast as the fastest."""
        enough = _NEAR_THE_BEST * min(self.seconds.values())
        return min(size for size, each in self.seconds.items() if each <= enough)

    @property
    def wait(self) -> float:
        """Seconds for which a request may wait for others: no longer than it takes alone."""
        return min(self.seconds[1], _LONGEST_WAIT) if self.gpu and self.size > 1 else 0.0


def sizes_within(limits: RequestLimits, pictures: Sequence[bytes]) -> tuple[int, ...]:
    """Those of SIZES whose batches of the pictures the model takes in one call; 1 always."""
    batch = [pictures[n % len(pictures)] for n in range(SIZES[-1])]
    return tuple(size for size in SIZES if size == 1 or size <= limits.fitting(batch))


def measure(
    predict: Callable[[Sequence[bytes]], object],
    pictures: Sequence[bytes],
    cpus: int,
    gpu: bool,
    sizes: Sequence[int] = SIZES,
) -> Measured:
    """Times batches of each size, in turn, so that what else the machine does meets all of them.

    Args:
      predict: answers a batch of encoded pictures.
      pictures: encoded; a batch repeats them.
      cpus: as in `Measured`.
      gpu: as in `Measured`.
      sizes: of the batches, 1 among them.
    """
    batches = {size: [pictures[n % len(pictures)] for n in range(size)] for size in sizes}
    for batch in batches.values():
        predict(batch)  # the first of a kind takes many times as long
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(_ROUNDS):
        for size, batch in batches.items():
            begun = time.perf_counter()
            predict(batch)
            found[size].append((time.perf_counter() - begun) / size)
    return Measured({size: statistics.median(times) for size, times in found.items()}, cpus, gpu)


def to_text(measured: Measured, version: str) -> str:
    """The file for `--batching_parameters_file`: BatchingParameters in protobuf's text form.

    Args:
      measured: what was measured.
      version: of the model.
    """
    each = ", ".join(f"{size}: {1000 * one:.1f}" for size, one in measured.seconds.items())
    return _TEXT.format(
        version=version,
        cpus=measured.cpus,
        device="a GPU" if measured.gpu else "no GPU",
        measured=each,
        size=measured.size,
        micros=round(1_000_000 * measured.wait),
    )
