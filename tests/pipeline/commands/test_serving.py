"""`segline serving` on a folder of versions, without the runs that would push them."""

import json
import os
from pathlib import Path

import pytest
from recorded_runs import Store, evaluated

from components.common.served_model import latest_version
from components.pusher import component, places, rollout, version_store
from pipeline import cli
from pipeline.config.loading import load_config
from pipeline.metadata import rollouts
from pipeline.metadata.store import connection_config, open_store

CONFIG = """
name: pets
dataset: {name: synthetic_pets}
classes: {values: {pet: 1, background: 2, border: 3}}
pusher: {promote_after_hours: 2, rollout: {grace_seconds: 0}}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of a pipeline that has pushed 1001 and 1002, the second with the better metrics."""
    path = tmp_path / "pets.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("SEGLINE_CONFIG", str(path))
    monkeypatch.setenv("SEGLINE__RUN__ROOT", str(tmp_path / "runs"))
    config = load_config(str(path), os.environ)
    os.makedirs(config.folder)
    runs = Store(connection_config(config))
    for version, score in (("1001", 0.7), ("1002", 0.8)):
        pushed = {
            "pushed": 1,
            "pushed_version": version,
            "pushed_destination": os.path.join(config.serving_dir, version),
        }
        steps = {
            "Evaluator": evaluated(score, 1),
            "Pusher": [("pushed_model", "PushedModel", pushed)],
        }
        runs.run(f"run-{version}", steps, "done")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_bytes(b"graph")
    push(config, "1001")
    return config


def push(config, version, stage="stable"):
    model = os.path.join(os.path.dirname(config.run.root), "model")
    with version_store.locked(config.serving_dir):
        component.push_as(stage, model, config.serving_dir, version)


def segline(capsys, *arguments):
    capsys.readouterr()
    cli.main(["serving", *arguments])
    return capsys.readouterr().out


def states(capsys):
    return {row["version"]: row["state"] for row in json.loads(segline(capsys, "list", "--json"))}


def test_the_list_tells_versions_with_metrics_and_state(config, capsys):
    push(config, "1002")
    newest, oldest = json.loads(segline(capsys, "list", "--json"))
    assert (newest["version"], newest["state"]) == ("1002", "stable")
    assert (oldest["version"], oldest["state"]) == ("1001", "kept")
    assert newest["metrics"]["mean_iou"] == pytest.approx(0.8, abs=1e-6)
    assert newest["changes"] == [] and not newest["pinned"]
    text = segline(capsys, "list")
    assert "0.8000" in text and "0.7000" in text
    # To look changes nothing.
    assert sorted(os.listdir(config.serving_dir)) == ["1001", "1002"]


def test_each_change_is_listed_with_who_and_why(config, capsys):
    push(config, "1002", "canary")
    assert states(capsys) == {"1002": "canary", "1001": "stable"}
    shown = segline(capsys, "promote", "canary", "--why", "it sees [roads]")
    assert "stable 1002" in shown and "models.config" in shown and "canary" not in shown
    assert not (Path(config.serving_dir) / "aside" / "1002").exists()  # where it was as a canary
    segline(capsys, "rollback", "--why", "Friday")
    assert states(capsys) == {"1002": "withdrawn", "1001": "stable"}
    withdrawn = json.loads(segline(capsys, "list", "--json"))[0]["changes"][-1]
    assert withdrawn["action"] == "withdrawn by a rollback to 1001" and withdrawn["why"] == "Friday"
    segline(capsys, "pin", "1001")
    text = " ".join(segline(capsys, "list").split())
    assert "it sees [roads]" in text and "Friday" in text and "stable, pinned" in text
    recorded = rollouts.read(open_store(config), "pets")
    assert [one.action for one in recorded] == ["push", "promote", "rollback", "pin"]
    assert recorded[2].why == "Friday" and recorded[2].by == recorded[1].by != ""


def test_what_was_ended_before_it_was_recorded_is_recorded_by_the_next(config, capsys, monkeypatch):
    push(config, "1002", "canary")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rollouts, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        segline(capsys, "promote", "1002", "--why", "killed")
    assert "killed" in segline(capsys, "list")  # the folder knows
    assert rollouts.read(open_store(config), "pets") == []
    segline(capsys, "promote", "--due")
    assert [one.why for one in rollouts.read(open_store(config), "pets")] == ["", "killed"]


def test_the_rule_promotes_when_it_is_time(config, capsys, monkeypatch):
    assert "no canary was ever pushed" in segline(capsys, "promote", "--due")
    assert os.listdir(config.serving_dir) == ["1001"]  # and nothing has begun
    push(config, "1002", "canary")
    shown = segline(capsys, "promote", "--due")
    assert "nothing is promoted: it is a canary for another " in shown
    assert states(capsys)["1002"] == "canary"
    known = rollout.read(config.serving_dir)
    from pipeline.metadata import serving

    later = known.canary_since / 1000 + 2 * 3600 + 1
    monkeypatch.setattr(serving.time, "time", lambda: later)
    segline(capsys, "promote", "--due")
    assert latest_version(config.serving_dir).endswith("1002")
    assert rollout.read(config.serving_dir).now.why == "no run has refused it for 2 hours"
    assert "there is no canary" in segline(capsys, "promote", "--due")


def test_settings_of_the_servers_are_written_with_the_next_change(config, capsys, monkeypatch):
    push(config, "1002", "canary")
    monkeypatch.setenv("SEGLINE__PUSHER__ROLLOUT__MODEL_NAME", "pets")
    monkeypatch.setenv("SEGLINE__PUSHER__ROLLOUT__STORAGE_URI", "pvc://claim/pets/serving")
    shown = segline(capsys, "promote", "--due")
    folder = Path(config.serving_dir)
    assert 'name: "pets"' in (folder / "models.config").read_text()
    service = folder / "inference-service.yaml"
    assert f"kubectl apply -f {service}" in shown
    assert "canaryTrafficPercent: 10" in service.read_text()
    push(config, "1003", "canary")  # a push has them from the record
    assert "/only-1003.config" in service.read_text()


def test_what_is_served_no_longer_goes_after_the_grace(config, capsys, monkeypatch):
    push(config, "1002", "canary")
    labelled = os.path.join(config.serving_dir, "rollout")
    monkeypatch.setenv("SEGLINE__PUSHER__ROLLOUT__GRACE_SECONDS", "1")
    shown = segline(capsys, "rollback", "--to", "1001", "--no-wait")
    assert "taken" not in shown and places.versions(labelled) == ["1001", "1002"]
    segline(capsys, "promote", "1002", "--no-wait")
    assert "1002: taken from the servers in 1 s" in segline(capsys, "rollback")
    assert places.versions(labelled) == ["1001"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote", "canary"], "there is no canary"),
        (["rollback"], "there is no version before the stable 1001"),
        (["promote", "9"], "9 is older than the stable 1001"),
        (["pin", "x"], "x is no version; `segline serving list` has them"),
    ],
)
def test_what_can_not_be_is_one_line(config, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        segline(capsys, *arguments)
    assert ended.value.code == 1
    assert message in " ".join(capsys.readouterr().err.split())
