"""A version is there complete or not at all, and the newest one is what was pushed last."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from components.common.model_exports import ModelExport, blessed_files
from components.common.served_model import latest_version
from components.pusher import component


def model(folder, files=3, size=100):
    """Something of a SavedModel's form."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    for index in range(files):
        (folder / "variables" / str(index)).write_bytes(os.urandom(size))
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def test_a_push_is_a_whole_copy(tmp_path):
    source, serving = model(tmp_path / "model"), tmp_path / "serving"
    component.push(str(source), str(serving), "7")
    assert os.listdir(serving) == ["7"]
    assert contents(serving / "7") == contents(source)


def test_exports_come_into_sight_with_their_version(tmp_path):
    source, serving = model(tmp_path / "model"), tmp_path / "serving"
    export = tmp_path / "12" / "model.onnx"
    export.parent.mkdir()
    export.write_bytes(b"network")
    before = contents(source)
    component.push(str(source), str(serving), "7", {"model.onnx": str(export)})
    assert contents(serving / "7") == before | {"assets.extra/exports/model.onnx": b"network"}
    assert os.listdir(serving) == ["7"] and contents(source) == before


def test_refused_exports_are_not_pushed():
    exports = []
    for name, blessed in (("model.onnx", 1), ("model_int8.onnx", 0), ("model.tflite", 1)):
        one = ModelExport()
        one.uri = f"/exports/12/{name}"
        one.set_string_custom_property("file", name)
        one.set_int_custom_property("blessed", blessed)
        exports.append(one)
    assert blessed_files(exports) == {
        "model.onnx": "/exports/12/model.onnx/model.onnx",
        "model.tflite": "/exports/12/model.tflite/model.tflite",
    }
    assert blessed_files([]) == {}


def test_an_export_that_can_not_be_copied_leaves_no_half_version(tmp_path):
    source, serving = model(tmp_path / "model"), tmp_path / "serving"
    with pytest.raises((OSError, tf.errors.NotFoundError)):
        component.push(str(source), str(serving), "7", {"model.onnx": str(tmp_path / "nowhere")})
    assert latest_version(str(serving)) is None
    assert not [name for name in os.listdir(serving) if name.isdigit()]


PUSH = "import sys; from components.pusher import component; component.push(*sys.argv[1:])"


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_nothing_in_sight(tmp_path, fork_server):
    """Killed when some of its files are there; the next one cleans up and is whole."""
    source, serving = model(tmp_path / "model", files=400, size=300_000), tmp_path / "serving"
    component.push(str(model(tmp_path / "first")), str(serving), "6")
    script = tmp_path / "push.py"
    script.write_text(PUSH)
    command = [sys.executable, str(script), str(source), str(serving), "7"]
    process = fork_server.start(command, tmp_path, dict(os.environ), merged=True)
    partial = serving / ".partial-7" / "variables"
    while process.poll() is None and not (partial.is_dir() and len(os.listdir(partial)) > 5):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL and len(os.listdir(partial)) < 400
    assert sorted(name for name in os.listdir(serving) if name.isdigit()) == ["6"]
    assert latest_version(str(serving)) == str(serving / "6")

    component.push(str(source), str(serving), "8")
    assert sorted(os.listdir(serving)) == ["6", "8"]
    assert contents(serving / "8") == contents(source)


@pytest.mark.parametrize(
    ("versions", "now", "expected"),
    [
        ([], 100, "100"),
        (["90"], 100, "100"),
        (["100"], 100, "101"),  # two pushes in one second
        (["90", "500"], 100, "501"),  # the clock went back
        (["90", ".partial-500", "notes.txt"], 100, "100"),
    ],
)
def test_the_next_version_is_the_newest(tmp_path, versions, now, expected):
    for name in versions:
        (tmp_path / name).mkdir()
    assert component.next_version(str(tmp_path), now) == expected
    assert component.next_version(str(tmp_path / "nowhere"), now) == str(now)
