"""`segline label …` on a run's labels and on pictures without any."""

import csv
import json

import pytest
from PIL import Image

from components.common import schema
from components.datasets.config import FolderConfig
from components.datasets.sources.mask_source import mask_source
from components.datasets.synthetic_pets import draw_pet
from components.example_gen import leaks
from components.labels import folds

COUNTS = {"train": 128, "validation": 16, "test": 24}


@pytest.fixture(scope="module")
def run(first_run):
    """Id of the workplace's first run: later ones may be refused, or fail."""
    listed = first_run.call("segline", "lineage", "runs", "--json")
    return json.loads(listed.stdout)[-1]["id"]


@pytest.fixture(scope="module")
def checked(first_run, run, tmp_path_factory):
    """After a call that goes on where one was ended: its first fold is done."""
    out = tmp_path_factory.mktemp("check")
    (examples,) = first_run.outputs("TfdsExampleGen/examples")[:1]
    files = sorted(map(str, examples.glob("Split-train/*")))
    ids = [name for name, _ in folds.read_records(files)]
    numbers = folds.assign(ids, 2, leaks.read_alike(str(examples)))
    model = str(first_run.outputs("Trainer/model")[0] / "Format-Serving")
    before = [
        {"example_id": name, "split": "train", "score": 0.125, "model": model}
        for name, number in numbers.items()
        if number == 0
    ]
    done = out / run / "2-folds" / "fold-1" / "scores.json"
    done.parent.mkdir(parents=True)
    done.write_text(json.dumps(before))
    # A table of before: one mark by hand, one taken back by hand, and a picture left out since.
    table = ["yes,{},train,0.9,no", "no,{},train,0.1,yes", "yes,gone,train,0.1,yes"]
    lines = "\n".join(table).format(before[0]["example_id"], before[1]["example_id"])
    (out / "labels.csv").write_text(f"leave_out,example_id,split,score,suggested\n{lines}\n")
    command = ("segline", "label", "check", run, "--folds", "2", "--mark", "3", "--out", str(out))
    called = first_run.call(*command)
    assert called.returncode == 0, called.stderr
    return out, called.stdout


def rows_of(out):
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_check_ranks_every_label_of_all_splits(checked):
    out, shown = checked
    *rows, _ = rows_of(out)
    of_split = {name: sum(row["split"] == name for row in rows) for name in schema.SPLITS}
    assert of_split == COUNTS
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores) and 0 <= scores[0] < scores[-1] <= 1
    assert "168 labels ranked" in shown
    page = (out / "labels.html").read_text()
    assert all(row["example_id"] in page for row in rows[:60])
    assert page.count("data:image/") == 4 * 60 and "://" not in page.split("</style>")[1]


def test_check_keeps_the_marks_of_before_and_makes_none_where_models_are_judged(checked):
    out, shown = checked
    *rows, last = rows_of(out)
    assert (last["example_id"], last["leave_out"]) == ("gone", "yes")
    (work,) = out.glob("*/2-folds")
    first = json.loads((work / "fold-1" / "scores.json").read_text())
    by_hand = {first[0]["example_id"]: "yes", first[1]["example_id"]: "no"}
    worst = [row["example_id"] for row in rows if row["split"] == "train"][:3]
    expected = {**dict.fromkeys(worst, "yes"), **by_hand}
    assert all(row["leave_out"] == expected.get(row["example_id"], "no") for row in rows)
    marked = sum(row["leave_out"] == "yes" for row in rows) + 1
    assert f"{marked} marked" in shown


def test_what_is_done_stays_and_the_rest_is_judged_by_a_model_that_has_not_seen_it(checked):
    out, shown = checked
    assert "fold 1 of 2" not in shown and "fold 2 of 2: training without 64 pictures" in shown
    (work,) = out.glob("*/2-folds")
    first, second = (
        json.loads((work / name / "scores.json").read_text()) for name in ("fold-1", "fold-2")
    )
    assert {one["score"] for one in first} == {0.125}
    ids = [{one["example_id"] for one in fold} for fold in (first, second)]
    assert [len(one) for one in ids] == [64, 64] and not ids[0] & ids[1]
    assert {one["model"] for one in second} == {str(work / "fold-2" / "model" / "Format-Serving")}
    assert len({one["score"] for one in second}) > 60


def test_next_hands_pictures_out_that_the_road_for_own_data_takes(first_run, run, tmp_path):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for seed in range(7_000_000, 7_000_012):
        picture, _, _ = draw_pet(seed)
        Image.fromarray(picture).save(folder / f"{seed}.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "round-2"
    done = first_run.call(
        *("segline", "label", "next", str(folder), "--count", "4", "--run", run),
        *("--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    assert "broken.jpg" in done.stdout
    assert "4 of 12 pictures" in done.stdout and "background has no polygons" in done.stdout
    chosen = (out / "pictures.txt").read_text().split()
    assert len(set(chosen)) == 4
    source = mask_source(
        FolderConfig(images=str(out / "images"), annotations=str(out / "annotations.json"))
    )
    matched = source.match()
    assert [pair.name for pair in matched.pairs] == sorted(chosen)
    assert source.names == {1: "pet", 3: "border"}
