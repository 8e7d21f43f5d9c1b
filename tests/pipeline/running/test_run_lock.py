import contextlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.common.errors import UserError
from pipeline.running.run_lock import run_lock, step_lock

HOLD = """
import sys, time
from pipeline.running.run_lock import run_lock, step_lock
folder, *step = sys.argv[1:]
with step_lock(folder, *step, None) if step else run_lock(folder):
    print("held", flush=True)
    time.sleep(100)
"""


@contextlib.contextmanager
def held(folder, *step):
    """By another process, until that is killed."""
    command = [sys.executable, "-c", HOLD, folder, *step]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.wait()


def test_a_second_run_is_refused_until_the_first_has_ended_however(tmp_path):
    folder = str(tmp_path / "runs/pets")
    with held(folder) as holder:
        refusal = rf"under way \(process {holder.pid}\): wait"
        with pytest.raises(UserError, match=refusal), run_lock(folder):
            pass
    with run_lock(folder):
        assert Path(folder, "run.lock").read_text() == f"process {os.getpid()}"


def test_other_pipelines_are_free(tmp_path):
    with run_lock(str(tmp_path / "one")), run_lock(str(tmp_path / "two")):
        pass


def took(lock, seconds=0.5):
    """A thread that takes a lock, and whether it has it by now."""
    has = threading.Event()

    def take():
        with lock:
            has.set()

    thread = threading.Thread(target=take)
    thread.start()
    has.wait(seconds)
    return thread, has.is_set()


def test_two_trainings_of_a_pipeline_wait_for_each_other(tmp_path, caplog, monkeypatch):
    """Pods on one volume: the second goes on as soon as the first one's is gone, however."""
    monkeypatch.setattr("pipeline.running.run_lock._PAUSE_SECONDS", 0.05)
    caplog.set_level(logging.INFO, logger="segline")
    folder = str(tmp_path)
    with held(folder, "Trainer", "run-1") as holder:
        thread, at_once = took(step_lock(folder, "Trainer", "run-2", None))
        assert not at_once and "held by run run-1" in caplog.text
        # Other steps need not wait, nor the training of another pipeline.
        for free in (
            step_lock(folder, "Evaluator", "run-2", None),
            step_lock(f"{folder}/x", "Trainer", "3", None),
        ):
            other, at_once = took(free, 5)
            assert at_once
            other.join()
        holder.kill()
        thread.join(10)
        assert not thread.is_alive()


def test_nothing_is_tidied_up_beside_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.running.run_lock._PAUSE_SECONDS", 0.05)
    folder = str(tmp_path)
    with held(folder, "StatisticsGen", "run-1") as holder:
        with pytest.raises(UserError, match="another run"), run_lock(folder):
            pass
        thread, at_once = took(run_lock(folder, wait=True))
        assert not at_once
        holder.kill()
        thread.join(10)
        assert not thread.is_alive()
