"""Pictures that the model learns from and is judged by: the same ones, or nearly.

Pictures are compared by a perceptual hash of 64 bits (pHash: Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions"): recompressed and resized copies differ in a
few bits, other pictures in about half. The ImageHash library has it too, but for one picture at
a time, which took as long as decoding picture and mask.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
import scipy.fft
import tensorflow as tf

from components.common import readable, schema
from components.common.errors import UserError, listed
from components.example_gen.config import LeaksConfig

LEAKS_FILE = "leaks.json"  # in the examples' artifact
_LOW = 8  # of the lowest frequencies, in each direction
_BITS = _LOW**2
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG


@dataclasses.dataclass(frozen=True)
class Leak:
    """A picture of a split that is judged by, and one like it in the training split.

    Attributes:
      split: `validation` or `test`.
      example_id: of the picture there.
      train_id: of the one in the training split.
      distance: differing bits of the hashes; 0: the same picture, as far as they tell.
    """

    split: str
    example_id: str
    train_id: str
    distance: int

    def __str__(self) -> str:
        how = (
            "is" if self.distance == 0 else f"is nearly ({readable.counted(self.distance, 'bit')})"
        )
        return f"{self.example_id} {how} {self.train_id}"


def picture_hashes(small: np.ndarray, sizes: np.ndarray) -> list[str]:
    """The perceptual hashes of pictures.

    A picture with a side of fewer pixels than the hash has frequencies would share most bits with
    any other such picture: it gets a digest, so that only its equals are found.

    Args:
      small: float32 [n, 32, 32, 3], each picture's means over areas.
      sizes: int [n, 2], the pictures' own heights and widths, in pixels.

    Returns:
      For each, 16 hex digits.
    """
    frequencies = scipy.fft.dctn(small @ _LUMA, axes=(1, 2))[:, :_LOW, :_LOW]
    low = frequencies.reshape(len(small), -1)
    bits = low > np.median(low, axis=1, keepdims=True)
    return [
        _digest(one) if min(size) < _LOW else row.tobytes().hex()
        for one, size, row in zip(small, sizes, np.packbits(bits, axis=1), strict=True)
    ]


def _digest(small: np.ndarray) -> str:
    return hashlib.blake2b(small.tobytes(), digest_size=_BITS // 8).hexdigest()


def find_leaks(
    split: str,
    examples: Sequence[tuple[str, str]],
    train: Sequence[tuple[str, str]],
    distance: int,
) -> list[Leak]:
    """Finds the pictures of a split that are in the training split too.

    Hashes at most d bits apart agree in at least one of d + 1 parts, so that only pictures
    that share a part are compared: the time does not grow with the product of the splits.

    Args:
      split: name of the split.
      examples: its (id, hash) pairs.
      train: those of the training split.
      distance: most bits that may differ.

    Returns:
      The nearest training picture for each that has one, in order.
    """
    edges = np.linspace(0, _BITS, distance + 2).astype(int)
    parts = list(zip(edges[:-1], edges[1:], strict=True))

    def keys(value: int) -> list[tuple[int, int]]:
        return [
            (at, value >> int(low) & (1 << int(high - low)) - 1)
            for at, (low, high) in enumerate(parts)
        ]

    values = [int(text, 16) for _, text in train]
    by_part: dict[tuple[int, int], list[int]] = {}
    for index, value in enumerate(values):
        for key in keys(value):
            by_part.setdefault(key, []).append(index)
    leaks = []
    for example_id, text in examples:
        value = int(text, 16)
        near = {index for key in keys(value) for index in by_part.get(key, ())}
        found = min(
            (((value ^ values[index]).bit_count(), index) for index in near), default=(_BITS, 0)
        )
        if found[0] <= distance:
            leaks.append(Leak(split, example_id, train[found[1]][0], found[0]))
    return leaks


def check(leaks: Sequence[Leak], counts: dict[str, int], config: LeaksConfig) -> None:
    """Stops the run where too many test pictures leak.

    Those of the validation split are only told: it decides nothing that is told of the model,
    and where it is a part of the training split, the dataset's own doubles fall on both sides.

    Args:
      leaks: of all splits.
      counts: examples by split.
      config: the limit.

    Raises:
      UserError: names the share, and the first twenty pictures.
    """
    found = [leak for leak in leaks if leak.split == schema.TEST]
    count = counts[schema.TEST]
    if config.max_fraction is None or len(found) <= config.max_fraction * count:
        return
    raise UserError(
        f"{len(found)} of the {count} pictures of split test are in the training split too "
        f"({len(found) / count:.1%}; dataset.leaks.max_fraction allows "
        f"{config.max_fraction:.1%}):\n{listed(found)}"
    )


def write_leaks(artifact_uri: str, leaks: Sequence[Leak]) -> None:
    """Writes them into the examples' artifact."""
    with tf.io.gfile.GFile(os.path.join(artifact_uri, LEAKS_FILE), "w") as file:
        json.dump([dataclasses.asdict(leak) for leak in leaks], file, indent=1)


def read_leaks(artifact_uri: str) -> list[Leak]:
    """Reads them back; empty where an older segline wrote the examples."""
    path = os.path.join(artifact_uri, LEAKS_FILE)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        return [Leak(**leak) for leak in json.load(file)]
