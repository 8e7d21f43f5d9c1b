"""A canary of a real run: promoted, rolled back while another run is under way, kept by gc."""

import json
import os

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.common.served_model import ServedModel
from pipeline.config.loading import RunConfig, load_config
from pipeline.metadata import watched
from pipeline.metadata.store import open_store

NO_GRACE = {"SEGLINE__PUSHER__ROLLOUT__GRACE_SECONDS": "0"}


@pytest.fixture(scope="module")
def place(new_workplace):
    """One run that pushes as it always did, and one that pushes a canary."""
    place = new_workplace("rollout")
    for overrides in ({}, {"SEGLINE__PUSHER__STAGE": "canary"}):
        done = place.run(**overrides)
        assert done.returncode == 0, done.stdout + done.stderr
    return place


def ask(place, *question):
    done = place.call("segline", *question, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def change(place, *step):
    done = place.call("segline", "serving", *step, **NO_GRACE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def labels(place):
    message = model_server_config_pb2.ModelServerConfig()
    text = (place.root / "serving/models.config").read_text()
    text_format.Parse(text, message)
    return dict(message.model_config_list.config[0].version_labels)


def served(place):
    return os.path.basename(ServedModel(str(place.root)).path)


def test_a_canary_is_promoted_and_rolled_back(place):
    canary, stable = ask(place, "serving", "list")
    assert (stable["state"], canary["state"]) == ("stable", "canary")
    assert canary["metrics"]["mean_iou"] == stable["metrics"]["mean_iou"] > 0
    assert served(place) == stable["version"]
    assert labels(place) == {"stable": int(stable["version"]), "canary": int(canary["version"])}
    config = load_config(str(place.folder / "tiny.yaml"), environment={})
    config = config.model_copy(update={"run": RunConfig(root=str(place.folder / "runs"))})
    assert watched.stable(open_store(config), config).version == stable["version"]
    # The push is known to lineage, and where it lies.
    (push,) = ask(place, "lineage", "model", canary["version"])["pushes"]
    assert push["state"] == "canary" and "changes" not in push
    where = place.root / "serving/rollout" / canary["version"]
    assert ask(place, "lineage", "model", str(where))["pushes"] == [push]
    assert ServedModel(str(where)).classes

    change(place, "promote", "canary", "--why", "two days without a complaint")
    assert served(place) == canary["version"]
    assert set(labels(place).values()) == {int(canary["version"])}
    rows = ask(place, "serving", "list")
    assert [row["state"] for row in rows] == ["stable", "kept"]
    (promoted,) = rows[0]["changes"]
    assert promoted["action"] == "promote" and promoted["why"] == "two days without a complaint"
    assert " on " in promoted["by"]
    (push,) = ask(place, "lineage", "model", canary["version"])["pushes"]
    assert push["changes"] == [promoted] and push["state"] == "served"


def test_a_rollback_does_not_wait_for_a_run(place):
    """A run holds its pipeline's folder to its end; a rollback can't wait for that."""
    newest, older = ask(place, "serving", "list")
    with place.start_run(SEGLINE__TRAINER__SEED="77", PYTHONUNBUFFERED="1") as process:
        for line in process.stdout:
            if "▸ Trainer" in line:
                break
        change(place, "rollback", "--why", "Friday")
        assert process.poll() is None
        process.kill()
    assert served(place) == older["version"]
    assert set(labels(place).values()) == {int(older["version"])}
    assert [row["state"] for row in ask(place, "serving", "list")] == ["withdrawn", "stable"]
    text = place.call("segline", "serving", "list").stdout
    assert "Friday" in text and "two days without a complaint" in text
    # Recorded once each, whatever is asked.
    (push,) = ask(place, "lineage", "model", older["version"])["pushes"]
    assert [one["action"] for one in push["changes"]] == ["rollback"]


def test_gc_keeps_what_made_a_withdrawn_and_a_pinned_version(place):
    newest, older = ask(place, "serving", "list")
    change(place, "pin", older["version"], "--why", "audit")
    before = ask(place, "lineage", "model", newest["version"])
    done = place.call("segline", "gc", "--keep", "1", "--keep-blessed", "1", "--delete")
    assert done.returncode == 0, done.stderr
    assert ask(place, "lineage", "model", newest["version"]) == before
    for part in ("model", "data", "transform"):
        assert os.path.isdir(before[part]["uri"])
    assert [row["pinned"] for row in ask(place, "serving", "list")] == [False, True]
    assert ServedModel(str(place.root / "serving/aside" / newest["version"])).classes


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (("promote", "12"), "is pinned: `segline serving unpin` first"),
        (("rollback",), "is pinned"),
        (("pin", "12"), "12: there is no such version"),
        (("pin", "newest"), "newest is no version; `segline serving list` has them"),
        (("unpin", "--config", "pets"), "pets has not run yet"),
    ],
)
def test_what_can_not_be_done_is_one_clear_line(place, step, message):
    done = place.call("segline", "serving", *step)
    assert done.returncode == 1
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_batches_are_measured_on_the_stable_version(place):
    (stable,) = [row for row in ask(place, "serving", "list") if row["state"] == "stable"]
    done = place.call("segline", "serving", "batching")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:2]] == [
        "batch of  1",
        "batch of  2",
    ]
    text = (place.root / "serving/batching.config").read_text()
    assert f"version {stable['version']}, " in text and "max_batch_size { value: " in text
    missing = place.call("segline", "serving", "batching", "--picture", "none.jpg")
    assert missing.returncode == 1
    assert "--picture none.jpg: " in missing.stderr and len(missing.stderr.splitlines()) == 1
