from tfx.types import standard_artifacts

from components.evaluator.baseline import LatestOtherBlessedModelStrategy


def model(identity):
    artifact = standard_artifacts.Model()
    artifact.id = identity
    return artifact


def blessing(model_id, blessed=1):
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", model_id)
    artifact.set_int_custom_property("blessed", blessed)
    return artifact


def resolve(candidate, models, blessings):
    chosen = LatestOtherBlessedModelStrategy().resolve_artifacts(
        None, {"candidate": [candidate], "model": models, "model_blessing": blessings}
    )
    return [artifact.id for artifact in chosen["model"]]


def test_the_first_model_has_no_baseline():
    assert resolve(model(1), [model(1)], []) == []


def test_the_latest_blessed_one_is_chosen():
    models = [model(i) for i in (1, 2, 3, 4)]
    assert resolve(models[3], models, [blessing(1), blessing(2), blessing(3, blessed=0)]) == [2]


def test_the_candidate_is_not_its_own_baseline():
    models = [model(1), model(2)]
    assert resolve(models[1], models, [blessing(1), blessing(2)]) == [1]
    assert resolve(models[0], models[:1], [blessing(1)]) == []
