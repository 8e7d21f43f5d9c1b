"""What differs between the two stacks (TFX 1.21 and TFX 1.16), and nothing else.

All other code calls what both have, and asks for no version. What is here does no harm on the
stack that doesn't need it.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
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


# How Abseil writes what is no fatal error before its log is started, and what it says before.
_NATIVE_LINES = (
    r"^([IWE]0000 00:00:"
    r"|WARNING: All log messages before absl::InitializeLog\(\)"
    r"|To enable the following instructions: )"
)


@contextlib.contextmanager
def native_log_held() -> Iterator[None]:
    """Keeps Abseil's log from the terminal; all else that is written to stderr gets there.

    TensorFlow 2.21, and others that have Abseil built in, write lines when they are imported,
    whatever TF_CPP_MIN_LOG_LEVEL says. Where that is set to less than 3, nothing is held. Can
    go once they start Abseil's log before they write to it.

    The lines are taken out by a process of its own: what a crash says last gets through. What
    Python writes goes to the terminal straight, which it finds to be one.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") < "3" or sys.stderr is None:
        yield
        return
    python_stderr = sys.stderr
    python_stderr.flush()
    terminal = os.dup(2)
    sieve = subprocess.Popen(
        ["grep", "--line-buffered", "--text", "--extended-regexp", "-v", _NATIVE_LINES],
        stdin=subprocess.PIPE,
        stdout=terminal,
        start_new_session=True,  # Ctrl-C is not for it
    )
    assert sieve.stdin is not None
    os.dup2(sieve.stdin.fileno(), 2)
    sieve.stdin.close()
    if _writes_to(python_stderr, 2):
        # Not closed: a logging handler may have been made with it.
        sys.stderr = open(  # noqa: SIM115
            os.dup(terminal), "w", buffering=1, encoding=python_stderr.encoding, closefd=False
        )
    try:
        yield
    finally:
        sys.stderr = python_stderr
        os.dup2(terminal, 2)
        os.close(terminal)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a child may still write to it
            sieve.wait(timeout=1)


def _writes_to(file: Any, descriptor: int) -> bool:
    try:
        return file.fileno() == descriptor
    except (io.UnsupportedOperation, AttributeError, ValueError):
        return False
