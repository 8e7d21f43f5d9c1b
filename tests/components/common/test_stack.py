"""What lies in stack.py; each in a process of its own, as it changes the process."""

import inspect
import os
import subprocess
import sys

import pytest
from apache_beam.runners.direct import direct_runner


def run(script, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_native_lines_are_held_and_pythons_are_not():
    script = """
import logging, os, sys
from components.common.stack import native_log_held
try:
    with native_log_held():
        os.write(2, b"I0000 00:00:1.2 3 port.cc:153] native inside\\n")
        os.write(2, b"terminate called after a failed check\\n")
        handler = logging.StreamHandler()
        print("python inside", file=sys.stderr)
        1 / 0
except ZeroDivisionError:
    os.write(2, b"native after\\n")
    print("python after", file=sys.stderr)
    handler.emit(logging.makeLogRecord({"msg": "a handler of inside"}))
"""
    lines = run(script, TF_CPP_MIN_LOG_LEVEL="3").stderr.splitlines()
    assert lines.count("terminate called after a failed check") == 1  # in its own time
    lines.remove("terminate called after a failed check")
    assert lines == ["python inside", "native after", "python after", "a handler of inside"]
    assert "native inside" in run(script, TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_what_a_crash_says_last_is_seen():
    script = """
import os
from components.common.stack import native_log_held
with native_log_held():
    os.write(2, b"free(): invalid pointer\\n")
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode < 0 and done.stderr == "free(): invalid pointer\n"


def test_without_stderr_it_does_nothing():
    script = "from pipeline.cli import main; main(['config', 'name'])"
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, script], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "quickstart\n")


def knows_prism():
    return "PrismRunner" in inspect.getsource(direct_runner)


@pytest.mark.slow
@pytest.mark.skipif(not knows_prism(), reason="this Beam's DirectRunner knows no Prism")
def test_prism_is_not_fetched(tmp_path):
    """Where it is not refused, Beam 2.77 makes a folder for it in the user's home."""
    script = """
import apache_beam as beam
from components.common.stack import forbid_prism
forbid_prism()
with beam.Pipeline() as pipeline:
    pipeline | beam.Create([1, 2, 3]) | beam.CombineGlobally(sum) | beam.Map(print)
"""
    assert run(script, HOME=str(tmp_path)).stdout.split() == ["6"]
    assert not (tmp_path / ".apache_beam").exists()
