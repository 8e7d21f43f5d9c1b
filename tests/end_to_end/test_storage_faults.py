"""A disk that is really full, really read-only; a store that is really locked, damaged, lost."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from components.common.served_model import ServedModel
from pipeline.running.storage_faults import explain


@pytest.fixture(scope="module")
def place(new_workplace):
    """A workplace whose `runs` is a small disk of its own."""
    place = new_workplace("storage")
    runs = place.folder / "runs"
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(runs)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", str(runs)], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(place.folder / "runs")], check=True)


def failed(place, *texts):
    """What a run that fails says: its error is one line, and no traceback."""
    result = place.run()
    shown = result.stdout + result.stderr
    assert result.returncode == 1, shown
    assert "Traceback" not in shown and len(shown.splitlines()) < 40, shown
    for text in texts:
        assert text in shown, shown
    return shown


@contextlib.contextmanager
def locked(path: Path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.close()


def test_a_disk_that_is_full_again_and_again_costs_nothing_but_time(place, first_run):
    failed(place, "✗ TfdsExampleGen", "the disk is full (", "Make room")  # 3 MB
    remount(place, "size=8m")  # enough for the data, not for a checkpoint
    shown = failed(place, "✓ Transform            done", "✗ Trainer", "the disk is full")
    assert "✓ TfdsExampleGen       done" in shown

    filler = place.folder / "runs" / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass
    failed(place, "the disk is full")
    filler.unlink()

    remount(place, "ro")
    failed(place, "it is read-only", "SEGLINE__RUN__ROOT")
    remount(place, "rw,size=64m")

    assert not place.served()
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ Transform            cached" in done.stdout
    expected = first_run.verdict(0).overall
    found = place.verdict().overall
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}


def test_a_store_that_is_locked_damaged_or_lost_stops_the_run_in_one_line(place):
    """Goes on with the workplace of the test before it."""
    store = place.root / "metadata.db"
    served = place.served()
    if not served:
        pytest.fail("the test before this one has to have pushed a model")
    with locked(store):
        failed(place, "ML Metadata is locked", str(store), "fuser")
    content = store.read_bytes()

    store.write_bytes(b"this is no database" + bytes(5000))
    failed(place, "is damaged, or no database", str(store))
    store.unlink()
    failed(place, f"there is no ML Metadata at {store}", "mv ")
    assert not store.exists()
    # All the while:
    assert place.served() == served and ServedModel(str(place.root))

    store.write_bytes(content)
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ Trainer              cached" in done.stdout
    assert place.served() == served


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Errno 13] Permission denied: 'runs/tiny/logs'", "may not write (runs/tiny/logs)"),
        ("[Errno 28] No space left on device: '/data/x'", "the disk is full (/data/x)"),
        ("/data/y; No space left on device", "the disk is full (/data/y)"),
        ("attempt to write a readonly database", "has gone away"),
        ("database is locked", "fuser /nowhere/metadata.db"),
    ],
)
def test_messages(text, told):
    error = RuntimeError("wrapped")
    error.__cause__ = OSError(text)
    assert told in explain(error, "/nowhere/metadata.db")


def test_other_errors_are_left_alone():
    circle = RuntimeError("a bug")
    circle.__context__ = ValueError("another")
    circle.__context__.__context__ = circle
    assert explain(circle) is None
    assert os.path.sep not in str(explain(RuntimeError("No space left on device")))


def test_what_a_new_mariadb_refuses_is_told_with_its_setting():
    """As ML Metadata 1.21 gives it, from MariaDB 11.8."""
    fault = RuntimeError(
        "mysql_query  SELECT E.id FROM `Execution` AS E LOCK IN SHARE MODE; returned an unexpected "
        "NULL result_set: errno: Record has changed since last read in table 'Execution'; try "
        "restarting transaction"
    )
    assert "--innodb-snapshot-isolation=OFF" in explain(fault)
