import json

import pytest
from tfx.types import standard_artifacts

from components.evaluator.baseline import LatestOtherBlessedModelStrategy

CLASSES = {"pet": 1, "background": 2}


@pytest.fixture
def model(tmp_path):
    """Makes Model artifacts whose cards tell their classes."""

    def make(identity, values=CLASSES, bands=None):
        artifact = standard_artifacts.Model()
        artifact.id = identity
        artifact.uri = str(tmp_path / str(identity))
        card = tmp_path / str(identity) / "Format-Serving" / "assets.extra" / "segline.json"
        if values:
            card.parent.mkdir(parents=True)
            card.write_text(json.dumps({"classes": {"values": values}, "bands": bands}))
        return artifact

    return make


def blessing(model_id, blessed=1, at=""):
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", model_id)
    artifact.set_int_custom_property("blessed", blessed)
    if at:
        artifact.set_string_custom_property("evaluated_at", at)
    return artifact


def resolve(candidate, models, blessings):
    chosen = LatestOtherBlessedModelStrategy().resolve_artifacts(
        None, {"candidate": [candidate], "model": models, "model_blessing": blessings}
    )
    return [artifact.id for artifact in chosen["model"]]


def test_the_first_model_has_no_baseline(model):
    first = model(1)
    assert resolve(first, [first], []) == []


def test_the_latest_blessed_one_is_chosen(model):
    models = [model(i) for i in (1, 2, 3, 4)]
    assert resolve(models[3], models, [blessing(1), blessing(2), blessing(3, blessed=0)]) == [2]


def test_the_candidate_is_not_its_own_baseline(model):
    models = [model(1), model(2)]
    assert resolve(models[1], models, [blessing(1), blessing(2)]) == [1]
    assert resolve(models[0], models[:1], [blessing(1)]) == []


@pytest.mark.parametrize(
    "values", [CLASSES | {"border": 3}, {"background": 2, "pet": 1}, None], ids=str
)
def test_models_of_other_classes_are_passed_over(model, values):
    """More classes, another order, and a model whose files are gone."""
    models = [model(1), model(2, values), model(3)]
    assert resolve(models[2], models, [blessing(1), blessing(2)]) == [1]


def test_models_that_see_other_bands_are_passed_over(model):
    """They can't read the candidate's examples. How bands are scaled is no difference."""
    four = {"count": 4, "depth": "uint16"}
    others = [None, {**four, "depth": "float32"}, {**four, "take": [1, 2, 3]}, {**four, "count": 5}]
    models = [model(number, bands=bands) for number, bands in enumerate(others, start=2)]
    like = model(1, bands={**four, "scale": "mean_std"})
    candidate = model(9, bands=four)
    everything = [like, *models, candidate]
    blessed = [blessing(one.id) for one in everything]
    assert resolve(candidate, everything, blessed) == [1]
    assert resolve(candidate, [*models, candidate], blessed) == []


def test_blessings_at_another_size_of_the_pixels_are_passed_over_and_told(model, caplog):
    caplog.set_level("INFO")
    models = [model(1), model(2), model(3)]
    assert resolve(models[2], models, [blessing(1), blessing(2, at="picture")]) == [1]
    assert not caplog.messages
    assert resolve(models[2], models, [blessing(2, at="picture")]) == []
    assert "counted at another size" in caplog.text


def test_only_what_would_have_been_a_baseline_is_told(model, caplog):
    """One that was refused, and one of other classes."""
    caplog.set_level("INFO")
    models = [model(1), model(2, CLASSES | {"border": 3}), model(3)]
    verdicts = [blessing(1, blessed=0, at="picture"), blessing(2, at="picture")]
    assert resolve(models[2], models, verdicts) == []
    assert not caplog.messages
