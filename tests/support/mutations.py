"""Damaged files, the same ones in every run: what a fuzzer does to a valid one."""

from __future__ import annotations

import struct

import numpy as np

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(content: bytes, other: bytes, seed: int) -> bytes:
    """One to four changes of a file.

    Args:
      content: a valid file.
      other: another one, to splice with.
      seed: says which changes.
    """
    rng = np.random.default_rng(seed)
    for _ in range(min(4, int(rng.geometric(0.7)))):
        kind = CHANGES[int(rng.integers(len(CHANGES)))]
        content = kind(rng, content, other) if content else other[: int(rng.integers(1, 40))]
    return content


def _at(rng: np.random.Generator, content: bytes) -> int:
    # Headers decide most: half of the changes are among the first bytes.
    most = min(len(content), 64) if rng.random() < 0.5 else len(content)
    return int(rng.integers(most))


def _flip_bit(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


def _overwrite(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at, size = _at(rng, content), int(rng.integers(1, 32))
    return content[:at] + rng.bytes(size) + content[at + size :]


def _number(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at, form = _at(rng, content), ">I" if rng.random() < 0.5 else "<I"
    return content[:at] + struct.pack(form, int(rng.choice(_NUMBERS))) + content[at + 4 :]


def _cut_off(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _take_out(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _at(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 200)) :]


def _repeat(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _at(rng, content)
    part = content[at : at + int(rng.integers(1, 200))]
    return content[:at] + part + content[at:]


def _splice(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    return content[: _at(rng, content)] + other[_at(rng, other) :]


def _zeros(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at, size = _at(rng, content), int(rng.integers(1, 400))
    return content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]


CHANGES = (*[_flip_bit] * 4, _overwrite, _number, _cut_off, _take_out, _repeat, _splice, _zeros)
