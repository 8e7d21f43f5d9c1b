"""Which news a run is, by what ML Metadata has of it and of those before."""

import pytest
from recorded_runs import Store, evaluated, pushed

from components.common import run_record
from pipeline.config.loading import load_config
from pipeline.config.notify import NotifyConfig
from pipeline.metadata.history import read_run
from pipeline.running import notices

SERVABLE = {"InfraValidator": [("blessing", "InfraBlessing", {"blessed": 1})]}
WHY = "mean_iou 0.5000: at least 0.7000 is asked for, 0.2000 short"


def good(mean_iou):
    return {"Evaluator": evaluated(mean_iou, 1), **SERVABLE, "Pusher": pushed()}


def refused(mean_iou):
    nothing = [("pushed_model", "PushedModel", {"pushed": 0})]
    return {"Evaluator": evaluated(mean_iou, 0, WHY), **SERVABLE, "Pusher": nothing}


@pytest.fixture
def store():
    return Store()


def told(store, run_id):
    config = load_config("pets", environment={})
    return notices.of_outcome(store.store, config, read_run(store.store, run_id))


def test_a_new_model_is_compared_with_the_one_before(store):
    store.run("run-1", good(0.7), run_record.DONE)
    first = told(store, "run-1")
    assert (first.events, first.mean_iou, first.mean_iou_before) == (("pushed",), 0.7, None)
    store.run("run-2", good(0.75), run_record.DONE)
    second = told(store, "run-2")
    assert (second.events, second.mean_iou_before) == (("pushed",), 0.7)
    assert "mean IoU: 0.7500 (+0.0500 against the last blessed model)" in second.text()


def test_a_canary_is_told_as_one(store):
    canary = [("pushed_model", "PushedModel", {"pushed": 1, "stage": "canary"})]
    store.run("run-1", good(0.7) | {"Pusher": canary}, run_record.DONE)
    notice = told(store, "run-1")
    assert notice.title() == "pets: a new model is served as a canary"
    assert notice.as_dict()["stage"] == "canary"
    store.run("run-2", good(0.8), run_record.DONE)
    assert told(store, "run-2").title() == "pets: a new model is served"


def test_a_refused_one_says_why_and_the_next_good_one_that_all_is_well(store):
    store.run("run-1", good(0.7), run_record.DONE)
    store.run("run-2", refused(0.5), run_record.DONE)
    notice = told(store, "run-2")
    assert (notice.events, notice.step, notice.reason) == (("refused",), "Evaluator", WHY)
    assert (notice.mean_iou, notice.mean_iou_before) == (0.5, 0.7)
    store.run("run-3", good(0.8), run_record.DONE)
    assert told(store, "run-3").events == ("pushed", "recovered")
    store.run("run-4", good(0.8), run_record.DONE)
    assert told(store, "run-4").events == ("pushed",)


def test_one_that_can_not_be_served_is_refused_too(store):
    steps = good(0.9) | {
        "InfraValidator": [
            ("blessing", "InfraBlessing", {"blessed": 0, "reason": "it takes 90 s to load"})
        ]
    }
    store.run("run-1", steps, run_record.DONE)
    notice = told(store, "run-1")
    assert (notice.events, notice.step) == (("refused",), "InfraValidator")
    assert notice.reason == "it takes 90 s to load"


def test_what_comes_from_the_cache_is_no_news(store):
    store.run("run-1", refused(0.5), run_record.DONE)
    store.run("run-2", refused(0.5), run_record.DONE, cached=("Evaluator", "InfraValidator"))
    assert told(store, "run-2").events == ()
    # It is refused all the same, for who lets refused models count as failures.
    assert notices.refusal(read_run(store.store, "run-2")) == WHY


def test_a_failure_is_followed_by_a_recovery(store):
    store.run("run-1", {"TfdsExampleGen": []}, run_record.FAILED)
    store.run("run-2", good(0.7), run_record.DONE, cached=("Pusher",))
    assert told(store, "run-2").events == ("recovered",)


def test_a_reason_of_many_lines_becomes_one():
    config = load_config("pets", environment={})
    notice = notices.of_failure(config, "run-1", "Trainer", "the disk\n  is full" + "!" * 900)
    assert notice.reason.startswith("the disk is full!") and len(notice.reason) <= 501
    assert notice.title() == "pets: Trainer failed"


def test_a_drift_is_no_run():
    config = load_config("pets", environment={})
    notice = notices.of_drift(config, "brightness 0.31 (at most 0.20)", "/runs/pets/watch.html")
    assert notice.text().splitlines() == [
        "pets: requests have drifted from what the served version was trained on",
        "reason: brightness 0.31 (at most 0.20)",
        "report: /runs/pets/watch.html",
    ]
    receiver = NotifyConfig.model_validate({"command": ["true"]})
    assert set(notice.events) <= set(receiver.events)
