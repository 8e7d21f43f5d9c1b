"""One training by two processes, chief and worker, through TFX on one side."""

import json
import os
import re
import subprocess
import sys

import beam_servers
import pytest

from pipeline.config import load_config
from pipeline.history import read_run
from pipeline.store import open_store

BEFORE = ("TfdsExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
RUN_ID = "two-workers"
OVERRIDES = "trainer.seed=5 trainer.epochs=2"


def node(place, *names, **environment):
    command = [sys.executable, "-m", "pipeline.kubeflow.node", "--node", *names]
    command += ["--config-file", "tiny.yaml", "--overrides", OVERRIDES, "--job-id", RUN_ID]
    return subprocess.Popen(
        command,
        cwd=place.folder,
        env=place.environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(first_run):
    """What chief and worker have printed."""
    before = node(first_run, *BEFORE)
    assert before.communicate(timeout=300)[0].count("cached") == len(BEFORE)
    addresses = [f"127.0.0.1:{beam_servers.free_port()}" for _ in range(2)]
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    processes = [
        node(
            first_run,
            "Trainer",
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}}),
        )
        for kind in ("worker", "chief")  # the worker has to wait
    ]
    worker, chief = (process.communicate(timeout=500)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], chief + worker
    return chief, worker


def test_both_train_the_same(trained):
    pattern = r"epoch \d/\d  loss (\S+)  accuracy (\S+)  val_loss (\S+)  val_accuracy (\S+)"
    chief, worker = (re.findall(pattern, output) for output in trained)
    assert len(chief) == 2 and chief == worker


def test_the_chief_alone_leaves_a_model_and_a_record(first_run, trained, monkeypatch):
    monkeypatch.chdir(first_run.folder)
    run = read_run(open_store(load_config("tiny.yaml")), RUN_ID)
    assert run.steps["Trainer"].state == "done"
    model = run.output("Trainer", "model").uri
    log = run.output("Trainer", "model_run").uri
    assert os.path.isfile(os.path.join(model, "Format-Serving", "saved_model.pb"))
    assert len(os.listdir(os.path.join(log, "predictions"))) == 3
    with open(os.path.join(log, "training.json")) as file:
        assert "x 2 workers" in json.load(file)["device"]


def test_a_worker_whose_chief_was_cached_has_nothing_to_do(first_run, trained):
    cluster = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}
    task = {"type": "worker", "index": 0}
    worker = node(first_run, "Trainer", TF_CONFIG=json.dumps({"cluster": cluster, "task": task}))
    output = worker.communicate(timeout=200)[0]
    assert worker.returncode == 0 and "nothing to train" in output
