"""What differs between the two stacks (TFX 1.21 and TFX 1.16), and nothing else.

All other code calls what both have, and asks for no version. What is here does no harm on the
stack that doesn't need it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn


def forbid_prism() -> None:
    """Keeps Beam from downloading a program and running it.

    Beam 2.77's DirectRunner tries each pipeline with Prism first, whose binary it gets from
    GitHub. The steps' pipelines rule it out by an option (config/beam.py), but TFX's
    BeamDagRunner makes one without any. Beam takes its own runner where Prism fails. Can go
    once Beam asks before it downloads.
    """
    from apache_beam.runners.portability import prism_runner

    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError("Prism is not what the config asks for")

    prism_runner.PrismRunner.run_pipeline = refuse


@contextlib.contextmanager
def native_log_held() -> Iterator[None]:
    """Keeps from the terminal what C++ writes there; what Python writes to stderr gets there.

    TensorFlow 2.21, and others that have Abseil built in, write lines when they are imported,
    whatever TF_CPP_MIN_LOG_LEVEL says. Where that is set to less than 3, nothing is held. Can
    go once they start Abseil's log before they write to it.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") < "3":
        yield
        return
    python_stderr = sys.stderr
    python_stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        with open(terminal, "w", buffering=1, encoding=python_stderr.encoding, closefd=False) as on:
            if _writes_to(python_stderr, 2):
                sys.stderr = on
            yield
    finally:
        sys.stderr = python_stderr
        os.dup2(terminal, 2)
        os.close(terminal)


def _writes_to(file: Any, descriptor: int) -> bool:
    try:
        return file.fileno() == descriptor
    except (io.UnsupportedOperation, AttributeError, ValueError):
        return False
