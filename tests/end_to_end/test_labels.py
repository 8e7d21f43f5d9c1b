"""`segline label …` on a run's labels and on pictures without any."""

import csv
import json

import pytest
from PIL import Image

from components.common import schema
from components.datasets.config import FolderConfig
from components.datasets.sources.mask_source import mask_source
from components.datasets.synthetic_pets import draw_pet

COUNTS = {"train": 128, "validation": 16, "test": 24}


@pytest.fixture(scope="module")
def run(first_run):
    """Id of the workplace's first run: later ones may be refused, or fail."""
    listed = first_run.call("segline", "lineage", "runs", "--json")
    return json.loads(listed.stdout)[-1]["id"]


@pytest.fixture(scope="module")
def checked(first_run, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("check")
    command = ("segline", "label", "check", run, "--folds", "2", "--mark", "3", "--out", str(out))
    done = first_run.call(*command)
    assert done.returncode == 0, done.stderr
    return command, out, done.stdout


def rows_of(out):
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_check_ranks_every_label_of_all_splits(checked):
    _, out, shown = checked
    rows = rows_of(out)
    of_split = {name: sum(row["split"] == name for row in rows) for name in schema.SPLITS}
    assert of_split == COUNTS
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores) and 0 <= scores[0] < scores[-1] <= 1
    assert [row["leave_out"] for row in rows] == ["yes"] * 3 + ["no"] * (len(rows) - 3)
    assert "168 labels ranked, the 3 worst marked" in shown
    page = (out / "labels.html").read_text()
    assert all(row["example_id"] in page for row in rows[:60])
    assert page.count("data:image/") == 4 * 60 and "://" not in page.split("</style>")[1]


def test_each_training_picture_is_judged_by_the_model_that_has_not_seen_it(checked):
    _, out, _ = checked
    folds = [json.loads(path.read_text()) for path in sorted(out.glob("*/2-folds/*/scores.json"))]
    ids = [{one["example_id"] for one in fold} for fold in folds]
    assert [len(one) for one in ids] == [64, 64] and not ids[0] & ids[1]
    for number, fold in enumerate(folds, start=1):
        assert {one["model"].split("/")[-3] for one in fold} == {f"fold-{number}"}


def test_called_again_it_trains_nothing_that_is_done(first_run, checked):
    command, out, _ = checked
    before = (out / "labels.csv").read_text()
    models = {path: path.stat().st_mtime_ns for path in out.rglob("saved_model.pb")}
    assert len(models) == 2
    again = first_run.call(*command[:-2], "--pictures", "2", *command[-2:])
    assert again.returncode == 0, again.stderr
    assert (out / "labels.csv").read_text() == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("saved_model.pb")} == models


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
