"""Pictures that are the same, or nearly: learned from and judged by, or learned from twice.

Pictures are compared by a perceptual hash of 64 bits (pHash: Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions"): recompressed and resized copies differ in a
few bits, other pictures in about half. The ImageHash library has it too, but for one picture at
a time, which took as long as decoding picture and mask.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Sequence

import numpy as np
import scipy.fft
import scipy.sparse.csgraph
import tensorflow as tf

from components.common import readable, schema
from components.common.errors import UserError, listed
from components.example_gen.config import LeaksConfig

LEAKS_FILE = "leaks.json"  # in the examples' artifact
_ALIKE_FILE = "alike.json"
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


class _Nearby:
    """Finds, among some hashes, those that are at most so many bits from another.

    Hashes at most d bits apart agree in at least one of d + 1 parts, so that only pictures
    that share a part are compared: the time does not grow with the product of the splits.

    Args:
      values: the hashes, as numbers.
      distance: most bits that may differ.
    """

    def __init__(self, values: Sequence[int], distance: int) -> None:
        edges = np.linspace(0, _BITS, distance + 2).astype(int).tolist()
        self._parts = list(itertools.pairwise(edges))
        self._values = values
        self._distance = distance
        self._by_part: dict[tuple[int, int], list[int]] = {}
        for index, value in enumerate(values):
            for key in self._keys(value):
                self._by_part.setdefault(key, []).append(index)

    def __call__(self, value: int) -> list[tuple[int, int]]:
        """Distance and index of each that is near enough, the nearest first."""
        shared = {index for key in self._keys(value) for index in self._by_part.get(key, ())}
        found = sorted(((value ^ self._values[index]).bit_count(), index) for index in shared)
        return [(bits, index) for bits, index in found if bits <= self._distance]

    def _keys(self, value: int) -> list[tuple[int, int]]:
        return [
            (at, value >> low & (1 << high - low) - 1) for at, (low, high) in enumerate(self._parts)
        ]


def find_leaks(
    split: str,
    examples: Sequence[tuple[str, str]],
    train: Sequence[tuple[str, str]],
    distance: int,
) -> list[Leak]:
    """Finds the pictures of a split that are in the training split too.

    Args:
      split: name of the split.
      examples: its (id, hash) pairs.
      train: those of the training split.
      distance: most bits that may differ.

    Returns:
      The nearest training picture for each that has one, in order.
    """
    nearby = _Nearby([int(text, 16) for _, text in train], distance)
    leaks = []
    for example_id, text in examples:
        if near := nearby(int(text, 16)):
            bits, index = near[0]
            leaks.append(Leak(split, example_id, train[index][0], bits))
    return leaks


def find_alike(examples: Sequence[tuple[str, str]], distance: int) -> list[list[str]]:
    """Groups the pictures of a split that are the same, or nearly.

    Args:
      examples: its (id, hash) pairs.
      distance: most bits that may differ between a picture and another of its group; those of
        a group hang together, though its ends may be further apart.

    Returns:
      Ids of each group of two and more, in order.
    """
    by_hash: dict[int, list[str]] = {}
    for example_id, text in examples:
        by_hash.setdefault(int(text, 16), []).append(example_id)
    values = list(by_hash)
    nearby = _Nearby(values, distance)
    pairs = [(at, index) for at, value in enumerate(values) for _, index in nearby(value)]
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    edges = scipy.sparse.coo_array((np.ones(len(pairs)), (rows, columns)), [len(values)] * 2)
    groups: dict[int, list[str]] = {}
    labels = scipy.sparse.csgraph.connected_components(edges)[1] if values else []
    for ids, label in zip(by_hash.values(), labels, strict=True):
        groups.setdefault(int(label), []).extend(ids)
    return [ids for ids in groups.values() if len(ids) > 1]


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


def write_alike(artifact_uri: str, groups: Sequence[Sequence[str]]) -> None:
    """Writes the training split's groups of `find_alike` into the examples' artifact."""
    with tf.io.gfile.GFile(os.path.join(artifact_uri, _ALIKE_FILE), "w") as file:
        json.dump(groups, file, indent=1)


def read_alike(artifact_uri: str) -> list[list[str]]:
    """Reads them back; empty where an older segline wrote the examples."""
    path = os.path.join(artifact_uri, _ALIKE_FILE)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)
