"""`segline label …`, called again and again; the trainings and the models are played."""

import csv
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema, served_model
from components.example_gen.leave_out import read_leave_out
from components.labels import check, folds, inference, selection
from pipeline import cli
from pipeline.commands import common, label_run
from pipeline.config.loading import load_config, override_config
from pipeline.metadata import history


def names_of(split, count):
    return [f"{split} {number:03d}" for number in range(count)]


class Checks:
    """A pipeline whose runs leave out what its config says; the worst labels come first."""

    def __init__(self, folder, capsys, monkeypatch):
        self.out, self.capsys = folder / "label-check", capsys
        self.table = self.out / "labels.csv"
        self.names = {"train": names_of("train", 100), "validation": names_of("validation", 40)}
        self.names["test"] = names_of("test", 40)
        self.config = load_config("quickstart")
        self.left_out = frozenset()
        patches = {
            (common, "config_and_store"): lambda options: (self.config, None),
            (history, "find_run"): lambda *_: types.SimpleNamespace(id="run"),
            (label_run, "training_of"): lambda run: (None, "model"),
            (label_run, "files_of"): lambda run, split: [split],
            (folds, "score_out_of_fold"): lambda *_: self.scored("train"),
            (folds, "score_split"): lambda model, split, files: self.scored(split),
            (check, "render_page"): self.render,
        }
        for (module, name), instead in patches.items():
            monkeypatch.setattr(module, name, instead)

    def scored(self, split):
        """Those of validation are worse than all others."""
        worse = 1 if split == "validation" else 0
        there = [name for name in self.names[split] if name not in self.left_out]
        return [
            folds.Scored(name, split, at / 1000 - worse, "model") for at, name in enumerate(there)
        ]

    def render(self, title, order, rows, count, files):
        assert [row.example_id for row in rows[: len(order)]] == [one.example_id for one in order]
        return "page"

    def check(self, *options):
        """What is shown."""
        cli.main(["label", "check", "--out", str(self.out), *options])
        return self.capsys.readouterr().out

    def run(self):
        """The next run: of what the table does not say to leave out."""
        self.config = override_config(self.config, f"dataset.leave_out={self.table}")
        self.left_out = read_leave_out(str(self.table))

    def say(self, **words):
        rows = self.rows()
        with self.table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                said = words.get(row["example_id"].replace(" ", "_"), row["leave_out"])
                writer.writerow({**row, "leave_out": said})

    def rows(self):
        with self.table.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def checks(tmp_path, capsys, monkeypatch):
    return Checks(tmp_path, capsys, monkeypatch)


def test_what_nobody_has_looked_at_is_left_out_of_no_later_run(checks):
    shown = checks.check()
    assert "180 labels ranked, 5 marked" in shown and f"leave_out: {checks.table}" in shown
    first = set(names_of("train", 5))
    for _ in range(3):
        checks.run()
        assert checks.left_out == first
        shown = checks.check()
        assert "175 labels ranked, 5 marked" in shown
        assert "5 more look wrong, and nobody has said so" in shown
        open_rows = [row for row in checks.rows() if row["leave_out"] == ""]
        assert [row["example_id"] for row in open_rows] == names_of("train", 10)[5:]
        assert all(row["suggested"] == "yes" for row in open_rows)


def test_what_a_person_says_to_a_suggestion_counts(checks):
    checks.check()
    checks.run()
    checks.check()
    checks.say(train_005="yes", train_006="no")
    checks.run()
    assert checks.left_out == set(names_of("train", 6))
    shown = checks.check("--mark", "3")  # of those left: 006, 007, 008
    assert "6 marked" in shown and "2 more look wrong" in shown
    told = {row["example_id"]: row["leave_out"] for row in checks.rows()}
    assert [told[name] for name in names_of("train", 10)[5:]] == ["yes", "no", "", "", "no"]


@pytest.mark.parametrize("split", schema.SPLITS)
def test_no_label_is_marked_that_models_are_judged_or_calibrated_on(checks, split):
    checks.config = override_config(checks.config, f"evaluator.split={split}")
    checks.check("--mark", "50")
    marked = {row["split"] for row in checks.rows() if row["leave_out"] == "yes"}
    assert marked == (set() if split == "train" else {"train"})


def test_of_two_checks_at_once_the_second_says_so(checks, monkeypatch):
    def train(*_):
        with pytest.raises(SystemExit) as error:
            cli.main(["label", "check", "--out", str(checks.out)])
        assert error.value.code == 1
        return checks.scored("train")

    monkeypatch.setattr(folds, "score_out_of_fold", train)
    cli.main(["label", "check", "--out", str(checks.out)])
    captured = checks.capsys.readouterr()
    assert captured.err.count("\n") == 1 and "another label check is under way" in captured.err
    assert "180 labels ranked" in captured.out
    monkeypatch.undo()
    assert sorted(path.name for path in checks.out.iterdir()) == [
        "labels.csv",
        "labels.html",
        "run",
    ]


def test_next_chooses_nothing_like_what_is_labelled_in_any_split(tmp_path, capsys, monkeypatch):
    """A picture of test that is chosen and labelled again would be trained on."""
    files = {}
    for seen, split in zip((0, 5, 9), schema.SPLITS, strict=True):
        files[split] = str(tmp_path / f"{split}.gz")
        with tf.io.TFRecordWriter(files[split], "GZIP") as writer:
            example = tf.train.Example()
            example.features.feature[schema.EXAMPLE_ID].bytes_list.value.append(b"%d" % seen)
            writer.write(example.SerializeToString())
    (tmp_path / "pool").mkdir()
    for name in ("0", "7", "9"):  # what the encoder sees in them
        Image.new("RGB", (8, 8)).save(tmp_path / "pool" / f"{name}.png")
    model = types.SimpleNamespace(classes=schema.ClassTable(values={"ground": 0, "leaf": 1}))
    config = load_config("quickstart")

    def look(model, inference, files):
        for file in files:
            number = float(file.output)
            yield selection.Candidate(file, 0.5, 0.0, np.array([number], np.float32))

    def features_of(inference, records):
        ids = [tf.train.Example.FromString(one).features.feature for one in records]
        return np.array([[float(one[schema.EXAMPLE_ID].bytes_list.value[0])] for one in ids])

    def predict(model, chosen):
        return (types.SimpleNamespace(mask=np.zeros((8, 8), np.uint8)) for _ in chosen)

    patches = {
        (common, "config_and_store"): lambda options: (config, None),
        (history, "find_run"): lambda *_: types.SimpleNamespace(id="run"),
        (label_run, "training_of"): lambda run: (None, "model"),
        (label_run, "files_of"): lambda run, split: [files[split]],
        (served_model, "ServedModel"): lambda path: model,
        (inference, "Inference"): lambda model: None,
        (selection, "look"): look,
        (selection, "features_of"): features_of,
        (selection, "predict"): predict,
    }
    for (module, name), instead in patches.items():
        monkeypatch.setattr(module, name, instead)
    out = tmp_path / "round-2"
    cli.main(["label", "next", str(tmp_path / "pool"), "--count", "1", "--out", str(out)])
    assert (out / "pictures.txt").read_text() == "7.png\n"
