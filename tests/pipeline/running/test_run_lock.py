import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.errors import UserError
from pipeline.running.run_lock import run_lock

HOLD = """
import sys, time
from pipeline.running.run_lock import run_lock
with run_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_second_run_is_refused_until_the_first_has_ended_however(tmp_path):
    folder = str(tmp_path / "runs/pets")
    hold = [sys.executable, "-c", HOLD, folder]
    with subprocess.Popen(hold, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        refusal = rf"under way \(process {holder.pid}\): wait"
        with pytest.raises(UserError, match=refusal), run_lock(folder):
            pass
        holder.send_signal(signal.SIGKILL)
    with run_lock(folder):
        assert Path(folder, "run.lock").read_text() == str(os.getpid())


def test_other_pipelines_are_free(tmp_path):
    with run_lock(str(tmp_path / "one")), run_lock(str(tmp_path / "two")):
        pass
