"""Runs the probe under limits of time and memory."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from components.infra_validator.config import InfraValidatorConfig

PROBE = Path(__file__).with_name("probe.py")
_START_SECONDS = 600  # for importing TensorFlow: not the model's doing
_STDERR = "stderr"  # in the work folder
_POLL_SECONDS = 0.1
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


class ServingError(Exception):
    """The model can't be served; the message says why."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One request to a signature.

    Attributes:
      name: for people, such as `PNG, batch of 1`.
      signature: which signature is called.
      argument: the name of its argument.
      batch: the elements.
    """

    name: str
    signature: str
    argument: str
    batch: tuple[bytes, ...]


@dataclasses.dataclass
class Answer:
    """What a call gave.

    Attributes:
      outputs: arrays by output name; None where the call failed.
      error: kind and message of the failure; empty where there was none.
      seconds: how long it took.
    """

    outputs: dict[str, np.ndarray] | None = None
    error: str = ""
    seconds: float = 0.0


@dataclasses.dataclass
class Probed:
    """What the clean process found.

    Attributes:
      answers: one for each call.
      load_seconds: how long the model took to load.
      peak_memory_mb: most resident memory that was seen.
      tensorflow: the version that it was loaded with.
    """

    answers: list[Answer]
    load_seconds: float
    peak_memory_mb: float
    tensorflow: str


def probe(model_dir: str, calls: list[Call], config: InfraValidatorConfig, work_dir: str) -> Probed:
    """Loads a model in a process of its own and sends it the calls.

    Args:
      model_dir: a SavedModel.
      calls: what to send, one after the other.
      config: the limits.
      work_dir: an empty folder for requests and answers.

    Returns:
      The answers. A call that raises is an answer too.

    Raises:
      ServingError: the model does not load, a limit is exceeded, or the process dies.
    """
    _write_plan(calls, work_dir)
    watch = _Watch(config, work_dir)
    with _started(model_dir, work_dir) as process:
        watch.follow(process)
        ready = watch.wait_for("ready", _START_SECONDS, "TensorFlow did not start")
        loaded = watch.wait_for(
            "loaded",
            config.max_load_seconds,
            f"the model did not load within {config.max_load_seconds} s "
            "(infra_validator.max_load_seconds)",
        )
        answers = []
        for number, call in enumerate(calls):
            watch.wait_for("call", config.max_request_seconds, f"{call.name}: no answer")
            event = watch.wait_for(
                ("answer", "error"),
                config.max_request_seconds,
                f"{call.name}: no answer within {config.max_request_seconds} s "
                "(infra_validator.max_request_seconds)",
            )
            if event["event"] == "error":
                answers.append(Answer(error=f"{event['kind']}: {event['message']}"))
                continue
            outputs = _read_outputs(os.path.join(work_dir, f"{number}.npz"))
            answers.append(Answer(outputs, seconds=event["seconds"]))
    return Probed(answers, loaded["seconds"], watch.peak_memory_mb, ready["tensorflow"])


def _read_outputs(path: str) -> dict[str, np.ndarray]:
    """What the probe has written; strings come as arrays of `bytes` objects."""
    with np.load(path) as file:
        stored = dict(file)
    outputs = {}
    for key, value in stored.items():
        name, _, kind = key.rpartition(".")
        if kind == "lengths":
            ends = np.cumsum(value)
            content = stored[f"{name}.bytes"].tobytes()
            parts = [content[end - size : end] for end, size in zip(ends, value, strict=True)]
            outputs[name] = np.array(parts, object)
        elif kind != "bytes":
            outputs[key] = value
    return outputs


def _write_plan(calls: list[Call], work_dir: str) -> None:
    plan = []
    for number, call in enumerate(calls):
        names = [f"{number}-{index}" for index in range(len(call.batch))]
        for name, content in zip(names, call.batch, strict=True):
            Path(work_dir, name).write_bytes(content)
        plan.append({"signature": call.signature, "argument": call.argument, "inputs": names})
    Path(work_dir, "plan.json").write_text(json.dumps(plan), encoding="utf-8")


@contextlib.contextmanager
def _started(model_dir: str, work_dir: str) -> Iterator[subprocess.Popen]:
    """The probe's process; killed at the end, whatever it is doing."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with open(os.path.join(work_dir, _STDERR), "wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", str(PROBE), model_dir, work_dir],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


class _Watch:
    """Reads what the probe tells, and looks at the clock and at its memory meanwhile."""

    def __init__(self, config: InfraValidatorConfig, work_dir: str) -> None:
        self._config = config
        self._stderr = Path(work_dir, _STDERR)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.peak_memory_mb = 0.0

    def follow(self, process: subprocess.Popen) -> None:
        """Starts reading a process's output."""
        self._process = process

        def read() -> None:
            for line in process.stdout or ():
                self._lines.put(line)
            self._lines.put(None)

        threading.Thread(target=read, daemon=True).start()

    def wait_for(
        self, events: str | tuple[str, ...], seconds: float, too_late: str
    ) -> dict[str, Any]:
        """The next event, which must be one of `events`.

        Raises:
          ServingError: it does not come in time, memory runs out, or the process ends.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._check_memory()
            try:
                line = self._lines.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise ServingError(too_late) from None
                continue
            if line is None:
                raise ServingError(self._last_words())
            try:
                event = json.loads(line)
            except ValueError:  # somebody else's print
                continue
            if event["event"] in events:
                return event
            raise ServingError(f"the probe said {event} where {events} was expected")

    def _check_memory(self) -> None:
        try:
            used = psutil.Process(self._process.pid).memory_info().rss / 1e6
        except psutil.Error:  # it has just ended; its output says more
            return
        self.peak_memory_mb = max(self.peak_memory_mb, used)
        if used > self._config.max_memory_mb:
            raise ServingError(
                f"it needs more than {self._config.max_memory_mb} MB of memory "
                "(infra_validator.max_memory_mb)"
            )

    def _last_words(self) -> str:
        """Why the process ended, in one line."""
        status = self._process.wait()
        stderr = self._stderr.read_text(errors="replace").strip()
        if status < 0:
            return f"the serving process was killed by signal {-status}"
        reason = stderr.splitlines()[-1] if stderr else f"exit status {status}"
        return f"the model can't be loaded with TensorFlow alone: {reason}"
