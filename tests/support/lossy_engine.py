"""A Beam engine that loses data and says that all went well (DaskRunner 2.77 did)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from apache_beam.runners.portability.fn_api_runner import execution


@contextlib.contextmanager
def losing(which: int | None) -> Iterator[list[bytes]]:
    """Beam's own runner, which loses one of the pieces of data that it groups by key.

    Args:
      which: piece, from 0; None loses none.

    Yields:
      The pieces that there have been.
    """
    append = execution.GroupingBuffer.append
    pieces: list[bytes] = []

    def lossy(self: execution.GroupingBuffer, data: bytes) -> None:
        pieces.append(data)
        if len(pieces) - 1 != which:
            append(self, data)

    with mock.patch.object(execution.GroupingBuffer, "append", lossy):
        yield pieces
