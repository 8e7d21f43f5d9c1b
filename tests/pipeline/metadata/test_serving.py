"""Changes of what is served in ML Metadata, and when a canary's time has come."""

import dataclasses

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from recorded_runs import Store, evaluated

from components.common.errors import UserError
from components.pusher.rollout import Change, Rollout
from pipeline.config.loading import load_config
from pipeline.metadata import rollouts, serving, watched
from pipeline.metadata.artifacts import pushed_models
from pipeline.metadata.history import Run, StepRecord, list_runs

HOUR = 3_600_000


def change(number, action="promote", version="1002", **others):
    values = {
        "stable": "1001",
        "canary": "",
        "pinned": False,
        "by": "anna on build-3",
        "when": number * HOUR,
        "why": "because",
    }
    return Change(number=number, action=action, version=version, **{**values, **others})


@pytest.fixture
def store():
    runs = Store()
    for run_id, version in (("first", "1001"), ("second", "1002")):
        pushed = {"pushed": 1, "pushed_version": version, "pushed_destination": f"/no/{version}"}
        steps = {"Evaluator": evaluated(0.8, 1)}
        steps["Pusher"] = [("pushed_model", "PushedModel", pushed)]
        runs.run(run_id, steps, "done")
    return runs.store


def test_each_change_is_recorded_once_with_all_that_is_known_of_it(store):
    assert rollouts.read(store, "pets") == []
    first, second = change(1, "push"), change(2, pinned=True, canary="1002", why="")
    rollouts.record(store, "pets", [first])
    rollouts.record(store, "pets", [first, second])
    rollouts.record(store, "pets", [first, second])
    assert rollouts.read(store, "pets") == [first, second]
    assert rollouts.read(store, "other") == []


def test_two_recorders_at_once_record_once(store, monkeypatch):
    rollouts.record(store, "pets", [change(1)])
    monkeypatch.setattr(rollouts, "read", lambda *_: [])  # the other one had not seen it
    rollouts.record(store, "pets", [change(1), change(2)])
    monkeypatch.undo()
    assert [one.number for one in rollouts.read(store, "pets")] == [1, 2]


def test_a_model_knows_its_changes_and_its_runs_do_not(store):
    before = list_runs(store, "pets")
    rollouts.record(store, "pets", [change(1, "push"), change(2), change(3, version="9999")])
    second = pushed_models(store, "pets")[-1]
    (found,) = rollouts.of_artifact(store, second.id)
    assert (found["action"], found["by"], found["why"]) == ("promote", "anna on build-3", "because")
    assert [run.id for run in list_runs(store, "pets")] == [run.id for run in before]
    assert [set(run.steps) for run in list_runs(store, "pets")] == [{"Evaluator", "Pusher"}] * 2


def test_a_withdrawn_model_knows_who_withdrew_it(store):
    back = change(2, "rollback", version="1001", why="roads are missing")
    rollouts.record(store, "pets", [change(1, stable="1002"), back])
    first, second = (
        rollouts.of_artifact(store, one.id)[-1] for one in pushed_models(store, "pets")
    )
    assert first["action"] == "rollback" and first["why"] == second["why"] == "roads are missing"
    assert second["action"] == "withdrawn by a rollback to 1001"
    assert second["by"] == "anna on build-3"


def test_a_version_whose_data_nobody_knows_can_t_be_watched(store, tmp_path):
    (tmp_path / "serving/1002").mkdir(parents=True)
    settings = {"SEGLINE__RUN__SERVING_DIR": str(tmp_path / "serving")}
    config = load_config("quickstart", environment=settings)
    config = config.model_copy(update={"name": "pets"})
    with pytest.raises(UserError, match=r"serving/1002: .* does not know what .* the next run"):
        watched.stable(store, config)


def artifact(number, **properties):
    made = mlmd.Artifact(id=number)
    for name, value in properties.items():
        slot = made.custom_properties[name]
        if isinstance(value, str):
            slot.string_value = value
        else:
            slot.int_value = value
    return made


def run(name, model, blessed, servable=True, version=""):
    outputs = {
        "Trainer": {"model": [artifact(model)]},
        "Evaluator": {"blessing": [artifact(100, blessed=int(blessed))]},
        "InfraValidator": {"blessing": [artifact(200, blessed=int(servable))]},
        "Pusher": {
            "pushed_model": [artifact(300, pushed=int(bool(version)), pushed_version=version)]
        },
    }
    steps = {
        step: StepRecord(step, "done", 0, 0, mlmd.Execution(), found)
        for step, found in outputs.items()
    }
    return Run(name, "pets", "done", 0, 0, steps, None)


PUSHED = run("pushed", model=7, blessed=True, version="1002")
WITH_CANARY = Rollout(
    (
        change(1, "push", "1001"),
        change(2, "push", "1002", canary="1002"),
        change(3, "unpin", "1001", canary="1002"),
    )
)


@pytest.mark.parametrize(
    ("later", "hours", "now", "reason"),
    [
        ([], 5, 7 * HOUR, ""),
        ([], 5, 7 * HOUR - 1000, "it is a canary for another 1.0 s"),
        ([], 0.5, 2.4 * HOUR, "it is a canary for another 6 min 0 s"),
        ([], None, 99 * HOUR, "pusher.promote_after_hours is not set"),
        ([run("later", 7, True)], 5, 7 * HOUR, ""),
        ([run("later", 7, False)], 5, 7 * HOUR, "run later has found its model not blessed"),
        ([run("later", 7, True, False)], 5, 7 * HOUR, "run later has found its model not servable"),
        ([run("other", 8, False)], 5, 7 * HOUR, ""),  # another model's refusal
    ],
)
def test_when_the_rule_promotes(later, hours, now, reason):
    runs = [*reversed(later), PUSHED, run("before", 7, False)]  # newest first
    assert serving.why_not_due(runs, WITH_CANARY, hours, int(now)) == reason


def test_the_rule_promotes_nothing_else():
    def because(**others):
        known = Rollout((dataclasses.replace(WITH_CANARY.now, **others),))
        return serving.why_not_due([PUSHED], known, 1, 99 * HOUR)

    assert because() == ""
    assert because(canary="") == "there is no canary"
    assert because(pinned=True) == "1001 is pinned"


def test_a_canary_is_one_since_it_became_one():
    assert WITH_CANARY.canary_since == 2 * HOUR
    again = Rollout((*WITH_CANARY.changes, change(4, "push", "1003", canary="1003")))
    assert again.canary_since == 4 * HOUR
    assert Rollout((change(1),)).canary_since == 0
