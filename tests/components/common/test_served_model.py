import pytest
import tensorflow as tf

from components.common.errors import UserError
from components.common.model_card import limits_of, read_card, write_card
from components.common.schema import ClassTable
from components.common.served_model import ServedModel, find_model, latest_version

CLASSES = ClassTable(values={"b": 7, "a": 3}, ignore_values=(9,))


def make_version(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "saved_model.pb").write_bytes(b"")
    return str(folder / name)


def test_the_latest_complete_version_is_found(tmp_path):
    serving = tmp_path / "serving"
    make_version(serving, "9")
    latest = make_version(serving, "10")
    make_version(serving, "tmp-11")
    (serving / "12").mkdir()  # half copied: saved_model.pb comes last
    assert latest_version(str(serving)) == latest
    for path in (serving, tmp_path, serving / "10"):
        assert find_model(str(path)) == latest


def test_no_version_at_all(tmp_path):
    assert latest_version(str(tmp_path / "nowhere")) is None
    assert latest_version(str(tmp_path)) is None
    with pytest.raises(UserError, match="it holds none. Name a SavedModel"):
        find_model(str(tmp_path))
    with pytest.raises(UserError, match="there is no such folder"):
        find_model(str(tmp_path / "nowhere"))
    for name in ("notes.txt", "model.onnx"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="it is a file, and no export"):
        find_model(str(tmp_path / "notes.txt"))
    with pytest.raises(UserError, match="holds exports: name one of them, .*/model.onnx. Name"):
        find_model(str(tmp_path))


def test_a_saved_model_of_somebody_else(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(UserError, match="is no model that segline has pushed"):
        ServedModel(str(tmp_path))


def test_the_card_keeps_classes_in_order_and_the_rest(tmp_path):
    write_card(str(tmp_path), CLASSES, {"image_size": [32, 64]})
    card = read_card(str(tmp_path))
    assert card["classes"] == CLASSES and card["classes"].names == ("b", "a")
    assert card["image_size"] == [32, 64]
    with pytest.raises(ValueError, match="nowhere.*segline.json can't be read"):
        read_card(str(tmp_path / "nowhere"))


def test_the_limits_of_a_request_are_in_the_card_or_the_defaults(tmp_path):
    """Cards of earlier models lack one, or both."""
    write_card(str(tmp_path), CLASSES, {"max_megabytes": 7, "max_megapixels": 5})
    assert limits_of(read_card(str(tmp_path))) == (7, 5)
    assert limits_of({"max_megapixels": 5}) == (64, 5)
    assert limits_of({}) == (64, 100)
