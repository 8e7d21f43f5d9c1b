"""Connected objects of a mask that is seen strip by strip, as the runs of their rows.

A mask may be larger than memory: what is kept is one strip, and the runs of the objects that
go on below it. Runs are exact, and a thousandth of the pixels where things have an extent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROW, START, STOP = range(3)


@dataclasses.dataclass(frozen=True)
class ConnectedObject:
    """The pixels of one class that touch, at a corner too.

    Attributes:
      class_index: of its class.
      runs: int64 [n, 3]: row, first column, and the column behind the last one; sorted, and no
        two of a row touch.
    """

    class_index: int
    runs: np.ndarray

    @property
    def area(self) -> int:
        """Pixels."""
        return int((self.runs[:, STOP] - self.runs[:, START]).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height, in pixels."""
        top, left = self.runs[0, ROW], self.runs[:, START].min()
        bottom, right = self.runs[-1, ROW] + 1, self.runs[:, STOP].max()
        return int(left), int(top), int(right - left), int(bottom - top)


def find_connected(
    strips: Iterable[np.ndarray], class_indices: Sequence[int]
) -> Iterator[ConnectedObject]:
    """Finds the connected objects of some classes.

    Args:
      strips: uint8 [height, width] of class indices, from top to bottom; all of one width.
      class_indices: of the classes.

    Yields:
      Each object as soon as a strip has nothing of it in its last row; those that end in the
      same strip by their class and first pixel.
    """
    wanted = np.zeros(256, bool)
    wanted[list(class_indices)] = True
    height = 0
    gathered: dict[int, list[np.ndarray]] = {}  # open objects: runs, in no order
    border, owners = np.zeros((0, 4), np.int64), np.zeros(0, np.int64)  # the last row's runs
    numbers = 0
    for strip in strips:
        runs = _runs(strip, wanted)
        runs[:, ROW] += height
        height += len(strip)
        # The last row's runs know their objects by number; two of one object hang together.
        together, labels = _labels(np.concatenate([border, runs]), owners)
        before, now = labels[: len(border)], labels[len(border) :]
        parts = _grouped(runs, now, together)
        merged = [[part] for part in parts]
        for label, owner in sorted(set(zip(before.tolist(), owners.tolist(), strict=True))):
            earlier = gathered.pop(owner)
            # The longer list takes the shorter one: an object grows by many strips.
            merged[label] = _joined(earlier, merged[label])
        goes_on = runs[:, ROW] == height - 1
        border, still = runs[goes_on], now[goes_on]
        open_labels, owners = np.unique(still, return_inverse=True)
        owners = owners + numbers
        for number, label in enumerate(open_labels.tolist(), start=numbers):
            gathered[number], merged[label] = merged[label], []
        numbers += len(open_labels)
        yield from _finished(merged)
    yield from _finished(gathered.values())


def pairs_that_touch(runs: np.ndarray, corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which runs of neighbouring rows touch, whatever their classes.

    Args:
      runs: int64 [n, 3 or more], sorted by row and first column.
      corners: whether a corner is enough.

    Returns:
      int64 [m] each: indices of the upper and of the lower runs.
    """
    most = int(runs[:, STOP].max(initial=0)) + 2
    starts = runs[:, ROW] * most + runs[:, START]
    stops = runs[:, ROW] * most + runs[:, STOP]
    # In the row above, those that touch follow one another.
    first = np.searchsorted(stops, starts - most, "left" if corners else "right")
    behind = np.searchsorted(starts, stops - most, "right" if corners else "left")
    number = np.maximum(behind - first, 0)
    lower = np.repeat(np.arange(len(runs)), number)
    within = np.arange(len(lower)) - np.repeat(np.cumsum(number) - number, number)
    return np.repeat(first, number) + within, lower


def components_of(count: int, one: np.ndarray, other: np.ndarray) -> tuple[int, np.ndarray]:
    """Connected components of a graph: how many, and the number of each node's.

    Args:
      count: nodes.
      one: int [m], the edges' first ends.
      other: int [m], their second ones.
    """
    edges = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    number, labels = connected_components(edges, directed=False)
    return number, labels


def _runs(strip: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64 [n, 4]: row, first column, behind the last, class; sorted."""
    height, width = strip.shape
    changes = np.ones((height, width + 1), bool)  # each row begins and ends with one
    np.not_equal(strip[:, 1:], strip[:, :-1], out=changes[:, 1:-1])
    rows, columns = np.divmod(np.flatnonzero(changes), width + 1)
    inner = np.flatnonzero(columns < width)
    rows, starts, stops = rows[inner], columns[inner], columns[inner + 1]
    classes = strip[rows, starts]
    runs = np.stack([rows, starts, stops, classes], axis=1)
    return runs[wanted[classes]].astype(np.int64)


def _labels(runs: np.ndarray, owners: np.ndarray) -> tuple[int, np.ndarray]:
    """Connected components of runs with their classes, the first ones' objects known."""
    upper, lower = pairs_that_touch(runs, corners=True)
    alike = runs[upper, 3] == runs[lower, 3]
    # One of each object's runs stands for all.
    _, of_object, which = np.unique(owners, return_index=True, return_inverse=True)
    known = np.arange(len(owners))
    return components_of(
        len(runs),
        np.concatenate([upper[alike], known]),
        np.concatenate([lower[alike], of_object[which]]),
    )


def _grouped(runs: np.ndarray, labels: np.ndarray, number: int) -> list[np.ndarray]:
    """The runs of each label from 0, in their order."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(1, number))
    return np.split(runs[order], bounds)


def _joined(one: list[np.ndarray], other: list[np.ndarray]) -> list[np.ndarray]:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    longer.extend(shorter)
    return longer


def _finished(gathered: Iterable[list[np.ndarray]]) -> Iterator[ConnectedObject]:
    found = []
    for parts in gathered:
        runs = np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)
        if len(runs):
            runs = runs[np.lexsort((runs[:, START], runs[:, ROW]))]
            found.append(ConnectedObject(int(runs[0, 3]), runs[:, :3]))
    found.sort(key=lambda one: (one.class_index, *one.runs[0].tolist()))
    yield from found
