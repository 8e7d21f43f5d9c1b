"""Report, lineage and TensorBoard, on a store that real runs have made.

The runs: the first, one from the cache, one whose model is refused, one that is killed.
"""

import dataclasses
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import forked
import ports
import pytest

from components.evaluator.verdict import read_verdict
from components.reporter.training_section import make as training_section
from pipeline.commands.reports import build_report
from pipeline.config.loading import load_config
from pipeline.metadata.history import find_run, list_runs
from pipeline.metadata.store import open_store

PROJECT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class History:
    place: object
    first: dict
    cached: dict
    refused: dict
    killed: dict
    seen_running: list

    def ask(self, *question):
        return json.loads(lineage(self.place, *question, "--json").stdout)


def lineage(place, *question):
    done = place.call("segline", "lineage", *question)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done


@pytest.fixture(scope="module")
def history(new_workplace):
    place = new_workplace("history")
    for overrides in ({}, {}, {"SEGLINE__EVALUATOR__MIN_CLASS_IOU__BORDER": "0.999"}):
        done = place.run(**overrides)
        assert done.returncode == 0, done.stdout + done.stderr
    seen = kill_while_training(place)
    runs = json.loads(lineage(place, "runs", "--json").stdout)
    assert len(runs) == 4
    return History(place, *reversed(runs), seen)


def kill_while_training(place):
    """Starts a run, asks for the runs while it writes, and kills it in the Trainer."""
    with place.start_run(SEGLINE__TRAINER__SEED="77", PYTHONUNBUFFERED="1") as process:
        for line in process.stdout:
            if "▸ Trainer" in line:
                break
        seen = [json.loads(lineage(place, "runs", "--json").stdout)[0] for _ in range(3)]
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return seen


def test_runs_are_told_as_they_went(history):
    assert history.first["state"] == history.cached["state"] == history.refused["state"] == "done"
    assert history.first["verdict"] == "pushed"
    assert set(history.first["steps"].values()) == {"done"}
    steps = {k: v for k, v in history.cached["steps"].items() if k != "LatestBlessedModel"}
    assert set(steps.values()) == {"cached"} and len(steps) == 10
    assert history.cached["metrics"] == history.first["metrics"]
    assert history.refused["verdict"] == "not blessed"
    assert history.refused["steps"]["Trainer"] == "cached"
    assert history.refused["steps"]["Evaluator"] == "done"
    assert history.cached["id"] > history.first["id"]
    text = lineage(history.place, "runs").stdout
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert " all" in lines[history.cached["id"]]
    assert "interrupted" in lines[history.killed["id"]]


def test_a_run_shows_as_running_and_then_as_interrupted(history):
    for seen in history.seen_running:
        assert seen["id"] == history.killed["id"]
        assert seen["state"] == "running" and seen["steps"]["Trainer"] == "running"
    assert history.killed["state"] == "interrupted"
    assert history.killed["steps"]["Trainer"] == "interrupted"
    assert history.killed["steps"]["Transform"] == "cached"
    assert history.killed["verdict"] == "" and history.killed["metrics"] == {}


def maker(place, artifact_id):
    """The run and the execution that made an artifact, by SQL: type 4 is OUTPUT, state 3 done."""
    with sqlite3.connect(f"file:{place.root}/metadata.db?mode=ro", uri=True) as database:
        rows = database.execute(
            """
            SELECT e.id, c.name FROM Event v JOIN Execution e ON e.id = v.execution_id
            JOIN Association a ON a.execution_id = e.id JOIN Context c ON c.id = a.context_id
            JOIN Type t ON t.id = c.type_id
            WHERE v.artifact_id = ? AND v.type = 4 AND e.last_known_state = 3
              AND t.name = 'pipeline_run'
            """,
            (artifact_id,),
        ).fetchall()
    (row,) = rows
    return row


def test_lineage_of_the_pushed_model(history):
    answer = history.ask("model")
    first, config = history.first, yaml_of(history.place)
    (version,) = history.place.served()[:1]
    assert answer == history.ask("model", version)
    assert answer == history.ask("model", f"runs/tiny/serving/{version}")
    run = maker(history.place, answer["model"]["id"])[1]
    assert answer["training"]["run"] == run == first["id"]
    assert answer["training"]["settings"]["epochs"] == config["trainer"]["epochs"]
    assert answer["transform"]["image_size"] == config["transform"]["image_size"]
    assert answer["data"]["name"] == "synthetic_pets"
    assert answer["data"]["examples"] == {"train": 128, "validation": 16, "test": 24}
    for part in ("model", "data", "schema", "transform"):
        assert os.path.isdir(answer[part]["uri"]), part
    (push,) = answer["pushes"]
    assert (push["version"], push["state"], push["run"]) == (version, "served", run)
    assert os.path.samefile(push["destination"], history.place.root / "serving" / version)
    # Only the evaluation that let it through, not that of the run that refused it.
    (evaluation,) = answer["evaluations"]
    assert evaluation["blessed"] and evaluation["run"] == run and evaluation["baseline"] is None
    verdict = history.place.verdict(0)
    assert evaluation["metrics"] == pytest.approx(
        {name: value for name, value in verdict.overall.items() if value == value},
        abs=1e-6,  # ML Metadata keeps six digits
    )
    assert "mean_iou" in evaluation["reason"]
    (check,) = answer["serving_checks"]
    assert check["blessed"]


def yaml_of(place):
    import yaml

    return yaml.safe_load((place.folder / "tiny.yaml").read_text())


def test_lineage_knows_code_and_stack(history):
    import importlib.metadata

    answer = history.ask("model")
    git = ["git", "-C", str(PROJECT), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    assert answer["code"]["commit"] == head
    assert isinstance(answer["code"]["changed_since"], bool) or not head
    assert {"TfdsExampleGen", "Transform", "Trainer"} <= set(answer["code"]["fingerprints"])
    for package in ("tensorflow", "tfx", "keras"):
        assert answer["stack"][package] == importlib.metadata.version(package)


def test_a_model_by_the_trainers_path_has_all_its_evaluations(history):
    uri = history.ask("model")["model"]["uri"]
    answer = history.ask("model", uri)
    assert [evaluation["blessed"] for evaluation in answer["evaluations"]] == [True, False]
    assert answer["evaluations"][1]["run"] == history.refused["id"]
    assert "iou_border" in answer["evaluations"][1]["reason"]
    assert "at least 0.9990 is asked for" in answer["evaluations"][1]["reason"]
    assert answer == history.ask("model", os.path.join(uri, "Format-Serving"))


def test_lineage_of_the_data(history):
    fingerprint = history.ask("model")["data"]["fingerprint"]
    answer = history.ask("data", fingerprint[:6])
    assert answer == history.ask("data", "1.0.0")
    (dataset,) = answer["datasets"]
    trained = {model["id"]: model for model in dataset["models"]}
    model = trained[history.ask("model")["model"]["id"]]
    (version,) = history.place.served()[:1]
    assert model["versions"] == {version: "served"}
    # What was cached is not a second model, and the killed training is none.
    runs = {maker(history.place, artifact_id)[1] for artifact_id in trained}
    assert len(runs) == len(trained) and history.cached["id"] not in runs
    assert history.killed["id"] not in runs
    text = lineage(history.place, "data", fingerprint).stdout
    assert f"{version} served" in text


def test_the_difference_between_runs(history):
    same = history.ask("diff", history.first["id"], history.cached["id"])
    assert same == {}
    different = history.ask("diff", history.cached["id"], history.refused["id"])
    assert different == {
        "config": {
            "evaluator.min_class_iou.border": {"first": None, "second": 0.999},
        },
        "outcome": {"verdict": {"first": "pushed", "second": "not blessed"}},
    }
    text = lineage(history.place, "diff", history.cached["id"], history.refused["id"]).stdout
    assert "evaluator.min_class_iou.border" in text and "0.999" in text
    killed = history.ask("diff", "latest~1", "latest")
    assert killed["config"]["trainer.seed"] == {"first": 0, "second": 77}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (("model", "12345"), "12345: ML Metadata knows no such model"),
        (("model", "no/such/folder"), "no/such/folder: ML Metadata knows no such model"),
        (("model", "it's"), "it's: ML Metadata knows no such model"),
        (("data", "ffff"), "ffff: no run has seen such data; known fingerprints: "),
        (("diff", "1999"), "1999: there is no such run of tiny"),
        (("diff", "20"), "runs begin so"),
        (("diff", "latest~99"), "has only"),
        (("runs", "--config", "pets"), "pets has not run yet"),
    ],
)
def test_what_can_not_be_answered_is_one_clear_line(history, question, message):
    done = history.place.call("segline", "lineage", *question)
    assert done.returncode == 1
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def rows(html):
    """The texts of the cells of each table row."""
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", row)]
        for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    ]


def section(html, name):
    return re.search(rf'<section id="{name}">.*?</section>', html, re.DOTALL)[0]


def test_numbers_in_the_report_equal_the_artifacts(history):
    (folder,) = (history.place.root / "artifacts/Reporter/report").glob("1*")
    html = (folder / "report.html").read_text()
    verdict = history.place.verdict(0)
    found = rows(section(html, "evaluation"))
    for name in ("pet", "background", "border"):
        assert [
            name,
            *(
                f"{verdict.overall[f'{m}_{name}']:.4f}"
                for m in ("iou", "accuracy", "precision", "dice")
            ),
        ] in found
    for key, values in verdict.metrics.items():
        if key:
            expected = [key[0][1], f"{values['example_count']:.0f}", f"{values['mean_iou']:.4f}"]
            assert expected in [row[:3] for row in found]
    head = section(html, "verdict")
    assert "Blessed and pushed" in head and history.place.served()[0] in head
    assert f"{verdict.overall['mean_iou']:.4f}" in head and "no earlier blessed model" in head
    no_step_of_the_chain = ("LatestBlessedModel", "Reporter")
    assert {row[0] for row in rows(head)} == set(history.first["steps"]) - {*no_step_of_the_chain}
    data = rows(section(html, "data"))
    assert [row[:2] for row in data[1:4]] == [
        ["train", "128"],
        ["validation", "16"],
        ["test", "24"],
    ]
    shares = [sum(float(cell.rstrip("%")) for cell in row[1:]) for row in data[5:8]]
    assert all(abs(total - 100) < 0.2 for total in shares)


def test_the_report_shows_the_training(history):
    html = (history.place.root / "report.html").read_text()
    shown = section(html, "training")
    assert "epoch 3" in shown and "untrained" in shown and "picture size" in shown
    found = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", shown))
    run = find_run(open_store(config_of(history)), "tiny", history.first["id"])
    history_file = Path(run.output("Trainer", "model_run").uri, "history.csv")
    last = history_file.read_text().splitlines()[-1].split(",")
    header = history_file.read_text().splitlines()[0].split(",")
    assert found["training loss"] == f"{float(last[header.index('loss')]):.4f}"
    assert found["validation accuracy"] == f"{float(last[header.index('val_accuracy')]):.4f}"
    assert found["picture size"] == "64×32" and found["seed"] == "0"
    assert "3 epochs of 16 steps of 8 pictures" in found["steps"]
    assert len(re.findall(r'<td><img src="data:image', shown)) == 2 * (2 + 4)
    assert training_section(run.artifacts()).parameters > 100_000


def config_of(history):
    environment = {"SEGLINE__RUN__ROOT": str(history.place.folder / "runs")}
    return load_config(str(history.place.folder / "tiny.yaml"), environment)


def test_the_worst_pictures_are_those_of_the_ranking(history):
    html = (history.place.root / "report.html").read_text()
    store = open_store(config_of(history))
    # The latest report is that of the run that was refused.
    run = find_run(store, "tiny", history.refused["id"])
    verdict = read_verdict(run.output("Evaluator", "evaluation").uri)
    shown = re.findall(r"<figcaption>(.*?)</figcaption>", section(html, "evaluation"))
    ranking = verdict.ranking
    pictures = [*ranking.worst, *ranking.median, *ranking.best]
    assert shown == [f"{example_id} · mean IoU {score:.4f}" for example_id, score in pictures]
    assert "Not blessed, not pushed" in html and "at least 0.9990 is asked for" in html


def test_a_report_is_built_anew_for_any_run(history):
    place = history.place
    done = place.call("segline", "report", history.killed["id"], "--out", "killed.html")
    assert done.returncode == 0, done.stderr
    html = (place.folder / "killed.html").read_text()
    assert "The run did not get to its end" in html and "the run is interrupted" in html
    assert 'id="data"' in html and 'id="training"' not in html and 'id="evaluation"' not in html
    done = place.call("segline", "report", history.first["id"])
    assert done.returncode == 0 and done.stdout.strip() == f"report-{history.first['id']}.html"
    rebuilt = (place.folder / f"report-{history.first['id']}.html").read_text()
    (folder,) = (place.root / "artifacts/Reporter/report").glob("1*")
    made = (folder / "report.html").read_text()
    assert section(rebuilt, "evaluation") == section(made, "evaluation")
    assert section(rebuilt, "data") == section(made, "data")
    refused = place.call("segline", "report", "latest", "--out", "/no/such/folder/r.html")
    assert refused.returncode == 1 and "can't be written" in refused.stderr


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_in_a_browser(history, browser, width, scheme):
    report = history.place.root / "report.html"
    assert report.stat().st_size < 5_000_000
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("data:", report.as_uri()))
            else problems.append(request.url)
        ),
    )
    page.goto(report.as_uri())
    assert problems == []  # and nothing was asked of a network
    assert page.evaluate("document.documentElement.scrollWidth") == width
    broken = "[...document.images].filter(image => !image.naturalWidth).length"
    assert page.evaluate(broken) == 0 and page.locator("img").count() > 40
    ink, ground = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    brightness = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (ink, ground)]
    assert (brightness[0] > brightness[1]) == (scheme == "dark")
    # Chart texts follow: their ink is the page's.
    chart = page.locator("#training svg text").first
    assert chart.evaluate("element => getComputedStyle(element).fill") == ink
    # A box of the graph leads to its node's entry.
    page.locator(".graph a").first.click()
    assert page.evaluate("location.hash").startswith("#execution-")
    page.close()


def test_the_lineage_as_a_page(history, browser):
    place = history.place
    lineage(place, "model", "--html", "lineage.html")
    page = browser.new_page()
    page.goto((place.folder / "lineage.html").as_uri())
    shown = page.locator(".graph a").all_text_contents()
    assert len(shown) == page.locator("details").count() >= 12
    texts = " ".join(shown)
    for name in ("TfdsExampleGen", "Examples", "Transform", "Trainer", "Evaluator", "PushedModel"):
        assert name in texts
    page.close()


def test_reading_while_runs_are_written_never_fails(history):
    """A writer in a process of its own, far busier than a run, and many readers."""
    script = (
        "import sys, time\n"
        "from ml_metadata import MetadataStore\n"
        "from ml_metadata.proto import metadata_store_pb2 as mlmd\n"
        "connection = mlmd.ConnectionConfig()\n"
        "connection.sqlite.filename_uri = sys.argv[1]\n"
        "store = MetadataStore(connection)\n"
        "kind = store.put_context_type(mlmd.ContextType(name='noise'))\n"
        "print('writing', flush=True)\n"
        "for number in range(10**9):\n"
        "    store.put_contexts([mlmd.Context(type_id=kind, name=str(number))])\n"
        "    time.sleep(0.02)\n"
    )
    database = str(history.place.root / "metadata.db")
    writer = subprocess.Popen(
        [sys.executable, "-c", script, database], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "writing\n"
        until = time.monotonic() + 5
        asked = 0
        while time.monotonic() < until or asked < 3:
            runs = list_runs(open_store(config_of(history)), "tiny")
            assert runs[0].id == history.killed["id"]
            asked += 1
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_tensorboard_shows_the_trainings_by_their_runs(history):
    port = ports.free_port()
    process = history.place.start("segline", "tensorboard", "--port", str(port))
    address = f"http://127.0.0.1:{port}/data"
    try:
        assert f":{port}" in process.stdout.readline()
        expected = history.first["id"].replace(":", ".")
        found = []
        until = time.monotonic() + forked.HANGS
        while time.monotonic() < until:
            with urllib.request.urlopen(f"{address}/runs") as answer:
                found = json.load(answer)
            if f"{expected}/validation" in found:
                break
            time.sleep(0.5)
        assert f"{expected}/train" in found
        assert not any(history.cached["id"].replace(":", ".") in name for name in found)
        with urllib.request.urlopen(f"{address}/plugin/images/tags") as answer:
            tags = json.load(answer)
        assert "picture, true mask, predicted mask" in tags[f"{expected}/validation"]
        request = urllib.request.Request(
            f"{address}/plugin/hparams/experiment",
            json.dumps({"experimentName": ""}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            experiment = json.load(answer)
        assert {"learning_rate", "encoder.alpha", "seed"} <= {
            info["name"] for info in experiment["hparamInfos"]
        }
        assert "epoch_accuracy" in {info["name"]["tag"] for info in experiment["metricInfos"]}
    finally:
        process.terminate()
        rest = process.communicate()[0]
    assert "Traceback" not in rest, rest


def test_build_report_of_a_run_whose_files_are_gone(history, tmp_path):
    from components.common.errors import UserError

    store = open_store(config_of(history))
    run = find_run(store, "tiny", history.first["id"])
    run.output("Trainer", "model_run").uri = str(tmp_path / "gone")
    with pytest.raises(UserError, match="its files are gone: model_run"):
        build_report(store, run)


def test_gc_removes_what_nobody_needs_and_keeps_what_led_to_the_served_model(history):
    """Last, since it changes what the others look at."""
    place, artifacts = history.place, history.place.root / "artifacts"
    floor = {"SEGLINE__EVALUATOR__MIN_CLASS_IOU__BORDER": "0.999"}
    refused = place.run(SEGLINE__TRAINER__SEED="5", **floor)
    assert refused.returncode == 0 and "Not blessed" in refused.stdout
    other, *_ = history.ask("runs")
    assert other["verdict"] == "not blessed" and os.path.isdir(other["model"])
    assert place.run().returncode == 0  # the newest run: all of it from the cache
    before = history.ask("model")
    leftover = artifacts / "Trainer" / "model" / "9999"
    leftover.mkdir()
    (leftover / "half").write_bytes(b"x" * 5000)

    files = {path for path in artifacts.rglob("*") if path.is_file()}
    shown = place.call("segline", "gc", "--keep", "1")
    assert shown.returncode == 0, shown.stderr
    assert "--delete removes them" in shown.stdout and f"{other['model']}  Model" in shown.stdout
    assert "5.0 kB" in shown.stdout and str(leftover) in shown.stdout
    assert before["model"]["uri"] not in shown.stdout
    assert {path for path in artifacts.rglob("*") if path.is_file()} == files  # a dry run

    done = place.call("segline", "gc", "--keep", "1", "--delete")
    assert done.returncode == 0 and "removed: " in done.stdout, done.stderr
    assert not os.path.exists(other["model"]) and not leftover.exists()
    assert history.ask("model") == before
    for path in [before["data"]["uri"], before["model"]["uri"], before["transform"]["uri"]]:
        assert os.path.isdir(path)
    gone = place.call("segline", "report", other["id"])
    assert gone.returncode == 1 and "its files are gone: " in gone.stderr
    assert place.call("segline", "report", "--out", "kept.html").returncode == 0

    again = place.run()
    for step in ("TfdsExampleGen", "Transform", "Trainer", "Evaluator", "Pusher", "Reporter"):
        assert re.search(rf"✓ {step} +cached", again.stdout), again.stdout
    assert "nothing to remove" in place.call("segline", "gc", "--keep", "2").stdout
