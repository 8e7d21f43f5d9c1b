"""`segline kubeflow …` over real HTTP."""

import datetime
import json
import re
import sys
from collections import Counter

import kfp_server
import numpy as np
import pytest

from components.common.errors import UserError
from components.watcher.comparison import Finding
from components.watcher.request_log import Requests
from components.watcher.table import Table
from components.watcher.verdict import Watched
from pipeline import cli
from pipeline.commands import watching
from pipeline.commands.common import quiet_console
from pipeline.config.loading import load_config
from pipeline.kubeflow import runner, tasks

CLUSTER_CONFIG = """
name: leaves
dataset: {name: synthetic_pets, data_dir: /mnt/segline/tfds}
classes: {values: {pet: 1, background: 2, border: 3}}
trainer: {encoder: {weights: none}}
run:
  root: /mnt/segline/runs
  metadata:
    {backend: mysql, host: metadata-mysql, password: {environment: METADATA_PASSWORD}}
kubeflow:
  image: registry.example/segline:1
  volumes: [{claim: segline, mount_path: /mnt/segline}]
  secrets: [{variable: METADATA_PASSWORD, secret: segline-metadata, key: password}]
"""


@pytest.fixture(scope="module")
def compiled():
    """`runner.package`, which compiles each config once: most commands here have the same."""
    known = {}

    def package(config, only_if_changed=False):
        key = config.model_dump_json(), only_if_changed
        if key not in known:
            known[key] = compile_package(config, only_if_changed)
        return known[key]

    compile_package = runner.package
    return package


@pytest.fixture
def server(tmp_path, monkeypatch, compiled):
    monkeypatch.setattr(runner, "package", compiled)
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps its own configuration there
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaves.yaml").write_text(CLUSTER_CONFIG)
    monkeypatch.setenv("SEGLINE_CONFIG", str(tmp_path / "leaves.yaml"))
    server = kfp_server.Server()
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    yield server
    server.shutdown()
    server.server_close()
    assert server.problems == []  # nothing was said that the API has not


def call(capsys, *arguments):
    cli.main(["kubeflow", *arguments])
    lines = capsys.readouterr().out.strip().splitlines()
    # kfp itself says where a new experiment or run can be looked at.
    return "\n".join(line for line in lines if " details: http" not in line)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        cli.main(["kubeflow", *arguments])
    assert error.value.code == 1
    message = capsys.readouterr().err.strip()
    assert message.startswith("segline: ") and "Traceback" not in message
    return message.replace("\n", " ")


DAILY = ("schedule", "--cron", "0 0 3 * * *")


def test_submit_starts_a_run_with_the_compiled_package(server, capsys):
    run_id = call(capsys, "submit", "--set", "trainer.epochs=2", "trainer.seed=5")
    run = server.store["runs"][run_id]
    assert run["runtime_config"]["parameters"] == {
        "overrides": "trainer.epochs=2 trainer.seed=5",
    }
    spec = run["pipeline_spec"]["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "leaves" and "comp-trainer" in spec["components"]
    assert "exec-trainer" in json.dumps(run["pipeline_spec"]["platform_spec"])
    (experiment,) = server.store["experiments"].values()
    assert experiment["display_name"] == "leaves"
    assert run["experiment_id"] == experiment["experiment_id"]


def test_a_schedule_is_made_kept_and_replaced(server, capsys):
    recurring = server.store["recurringruns"]
    assert call(capsys, *DAILY) == "leaves: created, cron 0 0 3 * * *"
    ((first, made),) = recurring.items()
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert made["max_concurrency"] == 1 and made["no_catchup"] is True
    assert made["mode"] == "ENABLE" and made["display_name"] == "leaves"
    assert call(capsys, *DAILY) == "leaves: unchanged, cron 0 0 3 * * *"
    assert list(recurring) == [first]
    # Other content, another time, another period: each replaces it.
    assert call(capsys, *DAILY, "--set", "trainer.epochs=3").startswith("leaves: replaced")
    assert call(capsys, "schedule", "--every", "6h") == "leaves: replaced, every 21600 s"
    ((last, made),) = recurring.items()
    assert last != first and made["trigger"]["periodic_schedule"]["interval_second"] == 21600
    # Another name is another one, and stays so through pages of two.
    for name in "abc":
        assert "created" in call(capsys, *DAILY, "--name", name)
    assert call(capsys, "schedule", "--every", "6h") == "leaves: unchanged, every 21600 s"
    assert len(recurring) == 4


def run_of(server, recurring_run, state, hours=0.0):
    """A run that a schedule has begun, as the server's scheduler does."""
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    run_id = f"run-of-{recurring_run}"
    (experiment,) = server.store["experiments"]
    server.store["runs"][run_id] = {
        "run_id": run_id,
        "experiment_id": experiment,
        "display_name": "leaves",
        "state": state,
        "recurring_run_id": recurring_run,
        "created_at": begun.isoformat(),
    }
    return run_id


def test_a_schedule_is_replaced_without_ending_its_running_run(server, capsys):
    """The server deletes a recurring run's workflows with it."""
    call(capsys, *DAILY)
    recurring = server.store["recurringruns"]
    (old,) = recurring
    run_id = run_of(server, old, "RUNNING")
    assert call(capsys, "schedule", "--every", "6h").startswith("leaves: replaced")
    assert run_id in server.store["runs"]
    (new,) = set(recurring) - {old}
    assert (recurring[old]["status"], recurring[new]["status"]) == ("DISABLED", "ENABLED")
    # Neither does the same again, until the run has ended.
    assert "unchanged" in call(capsys, "schedule", "--every", "6h") and old in recurring
    server.store["runs"][run_id]["state"] = "SUCCEEDED"
    assert "unchanged" in call(capsys, "schedule", "--every", "6h")
    assert list(recurring) == [new]


def test_a_schedule_that_can_not_be_replaced_stays_as_it_is(server, capsys):
    call(capsys, *DAILY)
    before = {name: dict(made) for name, made in server.store["recurringruns"].items()}
    server.failures["POST recurringruns"] = 500
    refused(capsys, "schedule", "--every", "6h")
    assert server.store["recurringruns"] == before


def test_a_schedule_is_not_deleted_under_its_running_run(server, capsys):
    call(capsys, *DAILY)
    (recurring_run,) = server.store["recurringruns"]
    run_id = run_of(server, recurring_run, "PENDING")
    assert "disabled; a run of it is under way" in call(capsys, "schedule", "--delete")
    assert server.store["recurringruns"][recurring_run]["status"] == "DISABLED"
    assert run_id in server.store["runs"]
    server.store["runs"][run_id]["state"] = "FAILED"
    assert call(capsys, "schedule", "--delete") == "leaves: deleted"
    assert server.store["recurringruns"] == {}


def test_runs_that_take_too_long_are_ended(server, capsys):
    """As that of a pod that never gets its GPU, which would block the schedule for ever."""
    call(capsys, *DAILY)
    runs = server.store["runs"]
    late = run_of(server, "late", "PENDING", hours=30)
    young = run_of(server, "young", "RUNNING", hours=3)
    run_of(server, "done", "SUCCEEDED", hours=50)
    shown = call(capsys, "stop", "--older-than", "1d")
    assert shown.startswith(f"{late}: ended")
    assert {name: run["state"] for name, run in runs.items()} == {
        late: "CANCELING",
        young: "RUNNING",
        "run-of-done": "SUCCEEDED",
    }
    assert call(capsys, "stop", young).startswith(f"{young}: ended")
    assert "no such run of leaves is under way" in refused(capsys, "stop", "run-of-done")
    assert "--older-than: 'soon' is no interval" in refused(capsys, "stop", "--older-than", "soon")


def test_a_schedule_is_disabled_enabled_again_and_deleted(server, capsys):
    call(capsys, *DAILY)
    assert call(capsys, "schedule", "--disable") == "leaves: disabled"
    ((_, made),) = server.store["recurringruns"].items()
    assert made["status"] == "DISABLED"
    assert call(capsys, *DAILY).startswith("leaves: replaced")
    ((_, made),) = server.store["recurringruns"].items()
    assert made["status"] == "ENABLED"
    assert call(capsys, "schedule", "--delete") == "leaves: deleted"
    assert server.store["recurringruns"] == {}
    assert "there is no recurring run 'leaves'" in refused(capsys, "schedule", "--delete")


def test_status_shows_schedule_and_runs(server, capsys):
    call(capsys, *DAILY)
    run_id = call(capsys, "submit")
    shown = call(capsys, "status")
    assert "leaves: enabled, cron 0 0 3 * * *" in shown
    assert re.search(rf"{run_id} +pending", shown)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "it doesn't know you: give a valid --token"),
        (403, "you are not allowed to use run leaves; ask for the role"),
        (404, "run leaves is not there; is it Kubeflow Pipelines 2"),
        (409, "run leaves exists already (HTTP 409)"),
        (500, "run leaves: HTTP 500 Internal Server Error: as the test wants it"),
        (0, "can't be reached: "),
    ],
)
def test_each_failure_is_one_clear_line(server, capsys, status, message):
    server.failures["POST runs"] = status
    found = refused(capsys, "submit")
    assert message in found and server.address in found
    assert server.store["runs"] == {}


def test_a_server_that_never_answers_is_given_up(server, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.kubeflow.client.TIMEOUT_SECONDS", (1.0, 1.0))
    server.failures["POST runs"] = -1
    assert "timed out" in refused(capsys, "submit")


def test_a_token_comes_from_a_file(server, capsys, tmp_path):
    server.token = "sesame"
    assert "it doesn't know you" in refused(capsys, "submit")
    (tmp_path / "token").write_text("sesame\n")
    assert call(capsys, "submit", "--token", "token") in server.store["runs"]
    assert "--token: nowhere can't be read" in refused(capsys, "submit", "--token", "nowhere")


def test_nobody_there(server, capsys):
    found = refused(capsys, "status", "--host", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 can't be reached: " in found and "Connection refused" in found


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 3 * * *", "has 5 fields, Kubeflow wants six"),
        ("0 0 24 * * *", "'24' is no hour: 0 to 23"),
        ("0 0 3 0 * *", "'0' is no day of month"),
        ("0 0 3 * foo *", "'foo' is no month"),
        ("*/0 0 3 * * *", "'*/0' is no second"),
        ("0 5-2 3 * * *", "'5-2' is no minute"),
    ],
)
def test_a_wrong_cron_expression_is_never_sent(server, capsys, cron, message):
    assert message in refused(capsys, "schedule", "--cron", cron)
    assert server.requests == []


@pytest.mark.parametrize(
    "cron", ["0 0 3 * * *", "*/30 1-5,7 */2 ? JAN-mar mon,Fri", "0 0 0 31 12 0"]
)
def test_right_cron_expressions(cron):
    from pipeline.kubeflow.schedule import parse_cron

    assert parse_cron(cron).cron == cron


@pytest.mark.parametrize("interval", ["6", "h", "-1h", "30s", "1.5h"])
def test_wrong_intervals(server, capsys, interval):
    assert "--every: " in refused(capsys, "schedule", f"--every={interval}")
    assert server.requests == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SEGLINE__RUN__METADATA__BACKEND": "sqlite"}, "steps on several machines need a server"),
        ({"SEGLINE__RUN__ROOT": "runs"}, "run.root: runs must be absolute"),
        ({"SEGLINE__RUN__ROOT": "/elsewhere"}, "run.root: /elsewhere lies below no volume"),
    ],
)
def test_a_config_that_can_not_work_on_a_cluster(server, capsys, monkeypatch, change, message):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert message in refused(capsys, "compile")


def test_a_wrong_override_is_never_sent(server, capsys):
    assert "there is no such key" in refused(capsys, "submit", "--set", "trainer.epochz=2")
    assert "overrides are written as" in refused(capsys, "submit", "--set", "trainer.epochs")
    assert server.requests == []


def test_a_drift_starts_a_run_that_sees_for_itself_whether_there_is_something_new(server, capsys):
    quiet_console()  # kfp warns
    options = cli.make_parser().parse_args(["watch", "requests.jsonl", "--experiment", "drifts"])
    wanted = {"SEGLINE__WATCH__RETRAIN": "true"}
    assert watching.retrain(options, load_config("leaves.yaml", environment=wanted), False) == ""
    assert watching.retrain(options, load_config("leaves.yaml", environment={}), True) == ""
    assert not server.store["runs"]
    config = load_config("leaves.yaml", environment=wanted)
    run = server.store["runs"][watching.retrain(options, config, True)]
    assert run["display_name"] == "leaves after drift"
    (experiment,) = server.store["experiments"].values()
    assert experiment["display_name"] == "drifts"
    assert tasks.DECISION in json.dumps(run["pipeline_spec"]["pipeline_spec"])


def test_of_a_drift_people_hear_though_kubeflow_can_t_be_reached(
    server, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:9")
    told = tmp_path / "told"
    keep = [sys.executable, "-c", f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read())"]
    wanted = {
        "SEGLINE__WATCH__RETRAIN": "true",
        "SEGLINE__RUN__NOTIFY": json.dumps([{"command": keep}]),
    }
    finding = Finding("brightness", "", 0.9, 0.1, 0.2, 60, 100, before=0.5, now=0.1)
    asked = Requests(Table(60, {"brightness": np.zeros(60)}, {}), Counter(), 0, [])
    watched = Watched("leaves", "7", 0, asked, [finding], 50)
    quiet_console()  # kfp warns
    options = cli.make_parser().parse_args(["watch", "requests.jsonl", "--notify", "--json"])
    config = load_config("leaves.yaml", environment=wanted)
    page = f"file://{tmp_path}/pages/watch.html"  # as a bucket has it
    watching.write_page(page, "<p>")
    assert (tmp_path / "pages/watch.html").read_text() == "<p>"
    with pytest.raises(UserError, match=r"/proc/none/watch\.html can't be written: .* --out"):
        watching.write_page("/proc/none/watch.html", "<p>")
    with pytest.raises(UserError, match=r"watch\.retrain: .*127\.0\.0\.1:9"):
        watching.end(options, config, watched, page)
    notice = json.loads(told.read_text())
    assert "brightness" in notice["reason"] and notice["report"] == page
    answered = json.loads(capsys.readouterr().out)
    assert answered["drifted"] and answered["run"] == ""
