"""Which stack a machine gets (infra/stack.sh), and the `tfx` command's filter (infra/tfx.sh)."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def program(folder, name, script):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def call(folder, *command, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "SEGLINE_STACK"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**kept, "PATH": f"{folder}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("libc", "asked", "taken"),
    [
        ("glibc 2.36", None, "older: the current one needs glibc 2.39, and this machine has"),
        ("glibc 2.35.1", None, "older: "),
        ("glibc 2.39", None, "current: this machine has glibc 2.39"),
        ("glibc 2.41", None, "current: "),
        ("glibc 2.41", "older", "older: SEGLINE_STACK says so"),
        ("glibc 2.40", "current", "current: SEGLINE_STACK says so"),
    ],
)
def test_a_machine_gets(libc, asked, taken, tmp_path):
    program(tmp_path, "getconf", f"echo {libc}")
    program(tmp_path, "uname", "echo x86_64")
    chosen = {"SEGLINE_STACK": asked} if asked else {}
    done = call(tmp_path, "sh", "infra/stack.sh", **chosen)
    assert done.returncode == 0 and done.stdout.startswith(taken), done.stderr


@pytest.mark.parametrize(
    ("machine", "libc", "asked", "reason"),
    [
        ("aarch64", "glibc 2.41", "", "x86-64 alone, and this is aarch64"),
        ("x86_64", "musl 1.2", "", "glibc alone"),
        ("x86_64", "glibc 2.36", "current", "SEGLINE_STACK=current needs glibc 2.39 or newer"),
        ("x86_64", "glibc 2.41", "newest", "it can be current or older"),
    ],
)
def test_what_cannot_be_is_told(machine, libc, asked, reason, tmp_path):
    program(tmp_path, "getconf", f"echo {libc}")
    program(tmp_path, "uname", f"echo {machine}")
    done = call(tmp_path, "sh", "infra/stack.sh", SEGLINE_STACK=asked)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("segline: ") and reason in done.stderr


TFX = """
echo "I0000 00:00:1795608788.330780 1 port.cc:153] oneDNN custom operations are on." >&2
echo "a warning of ours" >&2
echo "answer $1"
exit 3
"""


def test_the_tfx_command_without_abseils_lines(tmp_path):
    program(tmp_path, "tfx", TFX)
    done = call(tmp_path, "bash", "infra/tfx.sh", "run", TF_CPP_MIN_LOG_LEVEL="3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "answer run\n", "a warning of ours\n")
    done = call(tmp_path, "bash", "infra/tfx.sh", "run", TF_CPP_MIN_LOG_LEVEL="0")
    assert done.returncode == 3 and "oneDNN" in done.stderr
