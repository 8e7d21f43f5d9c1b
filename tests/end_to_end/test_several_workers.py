"""One training by two processes, chief and worker, with what a Tuner has found."""

import json
import os
import re
import sys

import ports
import pytest

from components.common import lineage
from pipeline.config.loading import load_config
from pipeline.metadata.artifacts import find_model
from pipeline.metadata.history import read_run
from pipeline.metadata.lineage import describe_model
from pipeline.metadata.store import open_store

BEFORE = ("TfdsExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
RUN_ID = "two-workers"
TUNER = "{trials: 2, epochs: 1, space: {learning_rate: {min: 0.001, max: 0.01, scale: log}}}"
OVERRIDES = f"trainer.seed=5 trainer.epochs=2 'tuner={TUNER}'"

EPOCH = r"epoch (\d)/\d  loss (\S+)  accuracy (\S+)  val_loss (\S+)  val_accuracy (\S+)"


def node(place, *names, run=RUN_ID, overrides=OVERRIDES, **environment):
    command = [sys.executable, "-m", "pipeline.kubeflow.node", "--node", *names]
    command += ["--config-file", "tiny.yaml", "--overrides", overrides, "--job-id", run]
    return place.start(*command, **environment)


def two_trainers(place, **settings):
    """Worker and chief; the worker has to wait."""
    addresses = [f"127.0.0.1:{ports.free_port()}" for _ in range(2)]
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    return [
        node(
            place,
            "Trainer",
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}}),
            **settings,
        )
        for kind in ("worker", "chief")
    ]


@pytest.fixture(scope="module")
def place(new_workplace):
    place = new_workplace("workers")
    before = node(place, *BEFORE)
    assert before.communicate()[0].count("done") == len(BEFORE)
    return place


@pytest.fixture(scope="module")
def trained(place):
    """What chief and worker have printed."""
    tuner = node(place, "Tuner")
    output = tuner.communicate()[0]
    assert tuner.returncode == 0 and "trial 2/2  mean IoU" in output, output
    processes = two_trainers(place)
    worker, chief = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], chief + worker
    return chief, worker


def test_both_train_the_same(trained):
    chief, worker = (re.findall(EPOCH, output) for output in trained)
    assert len(chief) == 2 and chief == worker


def test_the_chief_alone_leaves_a_model_and_a_record(place, trained, monkeypatch):
    monkeypatch.chdir(place.folder)
    run = read_run(open_store(load_config("tiny.yaml")), RUN_ID)
    assert run.steps["Trainer"].state == "done"
    model = run.output("Trainer", "model").uri
    log = run.output("Trainer", "model_run").uri
    assert os.path.isfile(os.path.join(model, "Format-Serving", "saved_model.pb"))
    assert len(os.listdir(os.path.join(log, "predictions"))) == 3
    with open(os.path.join(log, "training.json")) as file:
        assert "x 2 workers" in json.load(file)["device"]


def test_the_tuner_s_find_is_what_was_trained_with_and_is_recorded(place, trained, monkeypatch):
    monkeypatch.chdir(place.folder)
    store = open_store(load_config("tiny.yaml"))
    run = read_run(store, RUN_ID)
    found = lineage.properties_of(run.output("Tuner", "best_hyperparameters"))
    assert found["trials"] == 2 and 0 < found["score"] < 1
    assert 0.001 <= found["learning_rate"] <= 0.01
    log = run.output("Trainer", "model_run").uri
    with open(os.path.join(log, "training.json")) as file:
        settings = json.load(file)["trainer"]
    # ML Metadata keeps six digits.
    assert settings["learning_rate"] == pytest.approx(found["learning_rate"], rel=1e-3)
    assert settings["epochs"] == 2  # its own, not the trials'
    answer = describe_model(store, find_model(store, "tiny", run.output("Trainer", "model").uri))
    told = answer["training"]["found_by_tuner"]
    assert told["run"] == RUN_ID and told["learning_rate"] == found["learning_rate"]
    assert answer["training"]["settings"]["learning_rate"] == 0.005  # of the config


def test_a_worker_whose_chief_was_cached_has_nothing_to_do(place, trained):
    cluster = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}
    task = {"type": "worker", "index": 0}
    worker = node(place, "Trainer", TF_CONFIG=json.dumps({"cluster": cluster, "task": task}))
    output = worker.communicate()[0]
    assert worker.returncode == 0 and "nothing to train" in output


def test_after_a_lost_worker_both_go_on_from_the_last_epoch(place):
    """To the numbers of a training in which none was lost."""
    overrides = "trainer.seed=6 trainer.epochs=4 trainer.learning_rate=0.001"
    found = {}
    for run in ("one-is-lost", "none-is-lost"):
        settings = {"run": run, "overrides": overrides, "SEGLINE__RUN__CACHE": "false"}
        before = node(place, *BEFORE, **settings)
        assert before.communicate()[0].count("done") == len(BEFORE)
        if run == "one-is-lost":
            worker, chief = two_trainers(place, **settings)
            for line in worker.stdout:
                if "epoch 2/4" in line:
                    break
            worker.kill()
            chief.communicate(timeout=120)  # it can't go on alone, and says so by itself
            assert chief.returncode != 0
        outputs = [one.communicate()[0] for one in two_trainers(place, **settings)]
        told = ["going on after epoch" in output for output in outputs]
        assert told == [run == "one-is-lost"] * 2, "\n".join(outputs)
        found[run] = [re.findall(EPOCH, output) for output in outputs]
        assert found[run][0] == found[run][1]
    begun = int(found["one-is-lost"][0][0][0])
    assert 2 <= begun <= 4
    # The order in which the workers' gradients are summed is not always the same.
    for epoch, reference in zip(
        found["one-is-lost"][0], found["none-is-lost"][0][begun - 1 :], strict=True
    ):
        numbers = [[float(one) for one in row[1:]] for row in (epoch, reference)]
        assert epoch[0] == reference[0] and numbers[0] == pytest.approx(numbers[1], abs=0.02)
