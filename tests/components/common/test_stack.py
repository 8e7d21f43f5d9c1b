"""What lies in stack.py; each in a process of its own, as it changes the process."""

import os
import subprocess
import sys

import pytest


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
import os, sys
from components.common.stack import native_log_held
try:
    with native_log_held():
        os.write(2, b"native inside\\n")
        print("python inside", file=sys.stderr)
        1 / 0
except ZeroDivisionError:
    os.write(2, b"native after\\n")
    print("python after", file=sys.stderr)
"""
    assert run(script, TF_CPP_MIN_LOG_LEVEL="3").stderr.split("\n")[:-1] == [
        "python inside",
        "native after",
        "python after",
    ]
    assert "native inside" in run(script, TF_CPP_MIN_LOG_LEVEL="0").stderr


@pytest.mark.slow
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
