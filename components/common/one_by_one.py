"""Batches in which one bad picture does not cost the others their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

One = TypeVar("One")
Answer = TypeVar("Answer")


def each_or_reason(
    ask: Callable[[Sequence[One]], Iterable[Answer]],
    batch: Sequence[One],
    errors: tuple[type[Exception], ...],
    reason: Callable[[Exception], str],
) -> list[Answer | str]:
    """Asks for a batch at once; where that fails, for each by itself.

    Args:
      ask: gives an answer for each, in order.
      batch: what is asked.
      errors: what `ask` raises of a bad one; others are raised on.
      reason: why there is no answer, of such an error.

    Returns:
      For each its answer, or the reason.
    """
    if not batch:
        return []
    try:
        return list(ask(batch))
    except errors as error:
        if len(batch) == 1:
            return [reason(error)]
    return [found for one in batch for found in each_or_reason(ask, [one], errors, reason)]
