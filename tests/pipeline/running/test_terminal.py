import logging
import os
import subprocess
import sys
import textwrap

import pytest

from components.common.errors import UserError
from pipeline.running.terminal import quiet_terminal, user_message


def test_chatter_goes_to_the_log_and_our_lines_to_both(tmp_path):
    script = textwrap.dedent(
        f"""
        import logging, os, sys
        from pipeline.running.terminal import quiet_terminal
        with quiet_terminal({str(tmp_path / "logs" / "run.log")!r}) as console:
            console.print("step one")
            print("python chatter")
            os.write(1, b"C++ chatter on stdout\\n")
            os.write(2, b"C++ chatter on stderr\\n")
            logging.getLogger("absl").warning("absl chatter")
            logging.getLogger("segline.trainer").info("epoch 1")
        print("after")
        """
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "step one\n    epoch 1\nafter\n" and result.stderr == ""
    log = (tmp_path / "logs" / "run.log").read_text()
    for text in ("python chatter", "on stdout", "on stderr", "absl chatter", "epoch 1"):
        assert text in log


def test_what_does_not_fit_into_the_log_does_not_come_out_on_the_terminal():
    script = textwrap.dedent(
        """
        import logging, sys
        early = logging.StreamHandler(sys.stderr)  # as absl has one, from its import on
        from pipeline.running.terminal import quiet_terminal
        with quiet_terminal("/dev/full") as console:
            logging.getLogger().addHandler(early)
            logging.warning("chatter")
            print("more chatter", flush=True)
            print("and on stderr", file=sys.stderr)
            logging.getLogger("segline").info("the disk is full")
        print("after")
        """
    )
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=buffered
    )
    assert (result.stdout, result.stderr) == ("    the disk is full\nafter\n", "")


def test_the_terminal_is_given_back_after_an_error(tmp_path, capfd):
    with pytest.raises(KeyError), quiet_terminal(str(tmp_path / "run.log")):
        raise KeyError("x")
    print("still here")
    assert "still here" in capfd.readouterr().out
    assert not logging.getLogger("segline").handlers


def test_the_users_error_is_found_behind_others():
    try:
        try:
            raise UserError("feature x is missing")
        except UserError as error:
            raise RuntimeError("wrapped") from error
    except RuntimeError as error:
        assert user_message(error) == "feature x is missing"
    assert user_message(RuntimeError("a bug")) is None


def test_the_users_error_is_found_in_beams_text():
    text = (
        "Traceback (most recent call last):\n  File x\n"
        "components.common.errors.UserError: the mask is 2x4 "
        "[while running 'WriteShard-ptransform-5']\n\n"
        "During handling of the above exception, another exception occurred:\nTraceback …"
    )
    assert user_message(RuntimeError(text)) == "the mask is 2x4"
