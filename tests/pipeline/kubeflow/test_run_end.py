"""The last task of a run on a cluster: what it finds in ML Metadata is recorded and told."""

import json
import sys

import pytest
from recorded_runs import Store, evaluated, pushed

from components.common import run_record
from components.common.errors import UserError
from pipeline.config.loading import load_config
from pipeline.kubeflow import run_end
from pipeline.metadata.history import read_run
from pipeline.metadata.store import connection_config

STEPS = ("TfdsExampleGen", "Evaluator", "InfraValidator", "Pusher")
GOOD = {
    "TfdsExampleGen": [],
    "Evaluator": evaluated(0.7, 1),
    "InfraValidator": [("blessing", "InfraBlessing", {"blessed": 1})],
    "Pusher": pushed(),
}


class Place:
    """A pipeline's ML Metadata, and what the owner was told."""

    def __init__(self, folder):
        self.told_file = folder / "told"
        code = f"import sys; open({str(self.told_file)!r}, 'a').write(sys.stdin.read() + '\\n')"
        receiver = {
            "command": [sys.executable, "-c", code],
            "events": ["failed", "refused", "pushed", "recovered"],
        }
        environment = {
            "SEGLINE__RUN__ROOT": str(folder),
            "SEGLINE__RUN__NOTIFY": json.dumps([receiver]),
        }
        self.config = load_config("pets", environment=environment)
        (folder / "pets").mkdir()
        self.runs = Store(connection_config(self.config))
        self.store = self.runs.store

    def begin(self, run_id, steps=STEPS):
        run_record.ensure(self.store, run_id, {}, "Kubeflow Pipelines", steps)

    def end(self, run_id):
        """The task; gives what is told by it."""
        before = self.told()
        run_end.end_run(self.config, run_id)
        return self.told()[len(before) :]

    def told(self):
        text = self.told_file.read_text() if self.told_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def outcome(self, run_id):
        record = run_record.read(self.store, [run_id])[run_id]
        return record.outcome, record.error


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_run_that_got_to_its_end(place):
    place.begin("run-1")
    place.runs.steps("run-1", GOOD)
    (notice,) = place.end("run-1")
    assert (notice["events"], notice["mean_iou"]) == (["pushed"], 0.7)
    assert place.outcome("run-1") == ("done", "")
    assert read_run(place.store, "run-1").state == "done"
    assert place.end("run-1") == []  # a second try of the task tells nothing twice


def test_a_step_that_has_said_why(place):
    place.begin("run-1")
    place.runs.steps("run-1", {"TfdsExampleGen": []}, failed=("TfdsExampleGen",))
    run_record.note_error(place.store, "run-1", "TfdsExampleGen: it has no feature 'photo'")
    (notice,) = place.end("run-1")
    assert (notice["step"], notice["reason"]) == ("TfdsExampleGen", "it has no feature 'photo'")
    assert place.outcome("run-1") == ("failed", "TfdsExampleGen: it has no feature 'photo'")


def test_a_step_that_was_killed(place):
    """Nobody has written a word of it; an earlier one's error was mended by a second try."""
    place.begin("run-1")
    place.runs.steps("run-1", {"TfdsExampleGen": []})
    run_record.note_error(place.store, "run-1", "TfdsExampleGen: the disk was full")
    (notice,) = place.end("run-1")
    assert notice["events"] == ["failed"] and notice["step"] == "Evaluator"
    assert "it said nothing" in notice["reason"] and "disk" not in notice["reason"]


def test_a_run_of_which_no_step_began(place):
    (notice,) = place.end("run-1")
    assert notice["events"] == ["failed"] and "it said nothing" in notice["reason"]


def test_the_look_for_changes(place):
    place.begin("run-1", steps=())
    run_record.note_error(place.store, "run-1", "Looking for changes: there is no dataset")
    (notice,) = place.end("run-1")
    assert (notice["step"], notice["reason"]) == ("Looking for changes", "there is no dataset")
    # None found: done, and no news.
    place.begin("run-2", steps=())
    run_record.end(place.store, run_record.read(place.store, ["run-2"])["run-2"], "done")
    assert place.end("run-2") == []


def test_a_run_that_somebody_has_tried_again(place):
    place.begin("run-1")
    place.end("run-1")
    place.begin("run-1")  # by the first step that begins anew
    assert place.outcome("run-1") == ("", "")
    place.runs.steps("run-1", GOOD)
    assert place.end("run-1")[0]["events"] == ["pushed"]
    assert place.outcome("run-1") == ("done", "")


def test_ml_metadata_is_away(place, monkeypatch):
    monkeypatch.setattr("pipeline.metadata.store.PATIENCE_SECONDS", 0.0)
    away = place.config.run.metadata.model_copy(update={"backend": "mysql", "port": 9})
    run = place.config.run.model_copy(update={"metadata": away})
    place.config = place.config.model_copy(update={"run": run})
    (notice,) = place.end("run-1")
    assert notice["events"] == ["failed"] and notice["reason"].startswith("ML Metadata at mysql://")


def test_a_refused_model_fails_the_run_where_that_is_asked_for(place):
    place.begin("run-1")
    place.runs.steps("run-1", GOOD)
    run_end.check_verdict(place.config, "run-1")
    place.begin("run-2")
    place.runs.steps("run-2", GOOD | {"Evaluator": evaluated(0.1, 0, "mean_iou 0.1000")})
    with pytest.raises(UserError, match="the model was refused: mean_iou 0.1000"):
        run_end.check_verdict(place.config, "run-2")
