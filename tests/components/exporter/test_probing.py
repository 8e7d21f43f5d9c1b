"""Processes in which exports are tried: what they tell, and what becomes of one that dies."""

import io
import textwrap

import numpy as np
import pytest
import small_models
import tensorflow as tf
from PIL import Image

from components.common.export_config import ExportConfig
from components.common.network import take_network
from components.exporter import probing
from components.exporter.conversion import Source, convert
from components.exporter.on_device import on_device
from components.exporter.probing import probe

IMAGE = np.zeros((1, 32, 32, 3), np.float32)


@pytest.mark.slow
def test_real_files_are_measured_and_a_damaged_one_is_told(saved, tmp_path):
    pytest.importorskip("onnxruntime")
    model_dir = saved("stretch")
    network = take_network(tf.saved_model.load(model_dir), (32, 32))
    card = {
        "classes": small_models.CLASSES.model_dump(mode="json"),
        "image_size": [32, 32],
        "input": "RGB",
    }
    source = Source(on_device(network, (32, 32), 2), (), card)
    paths = []
    for config in (ExportConfig(format="litert"), ExportConfig(format="onnx")):
        paths.append(str(tmp_path / config.file))
        convert(source, config, paths[-1])
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no model")
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    found = probe(model_dir, picture.getvalue(), IMAGE, [paths[0], str(damaged), paths[1]])
    assert set(found.latency_ms) == {*paths, model_dir}
    assert all(0 < ms < 60_000 for ms in found.latency_ms.values())
    (reason,) = found.failures.values()
    assert reason.startswith("it can't be run: ") and "damaged.onnx" in reason


# What runs in place of the script: it keeps to its form, and dies of what is called `deadly`.
SCRIPT = """
    import json, os, pathlib, sys

    plan = json.load(open(sys.argv[1]))
    with open(pathlib.Path(__file__).with_name("starts"), "a") as file:
        print(len(plan["exports"]), file=file)
    for name in [*plan["exports"], plan["model"]]:
        print("a library has something to say")
        print(json.dumps({"begin": name}), flush=True)
        if "deadly" in name:
            os.kill(os.getpid(), 6)
        if "bad" in name:
            print(json.dumps({"error": "ValueError: bad"}), flush=True)
        else:
            print(json.dumps({"ms": float(len(name))}), flush=True)
"""


@pytest.mark.parametrize(
    ("exports", "starts"),
    [
        (["a", "deadly 1", "bad", "deadly 2", "bcd"], [5, 3, 1]),
        (["deadly"], [1, 0]),
        (["a", "bcd"], [2]),
        ([], [0]),
    ],
)
def test_what_ends_the_process_costs_the_others_nothing(tmp_path, monkeypatch, exports, starts):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    monkeypatch.setattr(probing, "_SCRIPT", script)
    found = probe("model", b"", IMAGE, exports)
    good = [one for one in exports if "deadly" not in one and "bad" not in one]
    assert found.latency_ms == {name: len(name) for name in [*good, "model"]}
    assert set(found.failures) == set(exports) - set(good)
    for name, reason in found.failures.items():
        wanted = "died (code -6)" if "deadly" in name else "ValueError: bad"
        assert reason.startswith("it can't be run: ") and wanted in reason
    assert list(map(int, (tmp_path / "starts").read_text().split())) == starts


SLOW = """
    import sys, time

    if "slow" in open(sys.argv[1]).read():
        print('{"begin": "slow"}', flush=True)
        time.sleep(60)
    print('{"begin": "model"}')
    print('{"ms": 1.5}')
"""


def test_one_that_never_ends_is_ended(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SLOW))
    monkeypatch.setattr(probing, "_SCRIPT", script)
    monkeypatch.setattr(probing, "_MOST_SECONDS", 2)
    found = probe("model", b"", IMAGE, ["slow"])
    assert found.latency_ms == {"model": 1.5}
    assert "not done after 2 s" in found.failures["slow"]
