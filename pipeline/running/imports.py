"""Importing TFX and TensorFlow, which is most of what a short run takes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def heavy_imports() -> Iterator[None]:
    """No garbage collection during imports: a tenth of their time.

    What modules consist of stays for ever, and the collector would look at all of it again
    and again, then and in every later collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
