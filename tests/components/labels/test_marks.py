"""The table of a check, called again and again while people change it and runs read it."""

import csv
import os
import unicodedata

import pytest
import tensorflow as tf

from components.common.errors import UserError
from components.example_gen.leave_out import read_leave_out
from components.labels import marks
from components.labels.folds import Scored


def ranking(*names, split="train"):
    return [Scored(name, split, at / 100, "model") for at, name in enumerate(names)]


def check(path, order, count, left_out=()):
    worst = marks.worst(order, count, {"validation", "test"})
    rows = marks.merged(order, worst, marks.read(path), left_out, in_use=False)
    marks.write(rows, path)


def change(path, **words):
    """As a person does it, in a spreadsheet that writes semicolons."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(
            {**row, "leave_out": words.get(row["example_id"], row["leave_out"])} for row in rows
        )


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "labels.csv")


def test_what_is_left_out_stays_so_when_the_next_run_is_checked(path):
    check(path, ranking("a", "b", "c", "d"), 2)
    assert read_leave_out(path) == {"a", "b"}
    # The next run has neither, and the one after that is of the same table.
    check(path, ranking("d", "c"), 1, read_leave_out(path))
    assert read_leave_out(path) == {"a", "b", "d"}
    check(path, ranking("c"), 1, read_leave_out(path))
    assert read_leave_out(path) == {"a", "b", "c", "d"}


def test_what_a_list_names_stays_left_out_where_the_table_does_not_know_it(path):
    check(path, ranking("a", "b", "c"), 1, {"c", "x"})
    assert read_leave_out(path) == {"a", "c", "x"}


def test_marks_by_hand_stay_whatever_later_checks_say(path):
    check(path, ranking("a", "b", "c"), 1)
    change(path, a="no", c="yes")
    for order in (("b", "c", "a"), ("a", "c", "b"), ("a", "b", "c")):
        check(path, ranking(*order), 1)
        found = read_leave_out(path)
        assert "a" not in found and "c" in found
    # The checks' own marks are theirs to change.
    check(path, ranking("b", "a", "c"), 1)
    assert read_leave_out(path) == {"b", "c"}
    check(path, ranking("a", "c", "b"), 1)
    assert read_leave_out(path) == {"c"}


def test_all_marks_are_by_hand_where_the_column_that_tells_was_taken_out(path):
    with open(path, "w") as file:
        file.write("example_id,leave_out\na,no\nb,yes\n")
    check(path, ranking("a", "b"), 2)
    assert read_leave_out(path) == {"b"}


def test_pictures_that_models_are_judged_on_are_marked_by_hand_only(path):
    order = ranking("a", "b", split="test") + ranking("c", split="validation")
    order += ranking("d", "e")
    check(path, order, 1)
    assert read_leave_out(path) == {"d"}
    assert list(marks.read(path)) == ["a", "b", "c", "d", "e"]
    change(path, b="yes")
    check(path, order, 2)
    assert read_leave_out(path) == {"b", "d", "e"}


def test_a_mac_that_writes_the_table_changes_no_id(path):
    """Its ü is two characters: u and the dots."""
    check(path, ranking("tür", "b"), 1)
    with open(path) as file:
        text = unicodedata.normalize("NFD", file.read()).replace("yes", "no", 1)
    with open(path, "w") as file:
        file.write(text)
    check(path, ranking("tür", "b", "c"), 3, {"c"})
    assert read_leave_out(path) == {"b", "c"} and len(marks.read(path)) == 3


def test_a_table_that_cant_be_written_is_left_as_it_was(path, monkeypatch):
    check(path, ranking("a", "b"), 1)

    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device")

    monkeypatch.setattr(tf.io.gfile, "rename", full)
    with pytest.raises(UserError, match="can't be written: No space left"):
        check(path, ranking("b", "a"), 1)
    monkeypatch.undo()
    assert read_leave_out(path) == {"a"}
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
