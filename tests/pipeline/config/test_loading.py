import pytest
import yaml

from components.common.errors import UserError
from pipeline.config import loading as pipeline_config
from pipeline.config.loading import load_config


def write(tmp_path, **changes):
    values = yaml.safe_load(pipeline_config.find_config("quickstart").read_text())
    for keys, value in changes.items():
        *sections, key = keys.split("__")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return str(path)


def error_of(path, environment=None):
    with pytest.raises(UserError) as error:
        load_config(path, environment or {})
    return str(error.value)


@pytest.mark.parametrize("name", pipeline_config.config_names())
def test_shipped_configs_load_under_their_own_names(name):
    assert load_config(name, {}).name == name


def test_pets_tutorial_is_the_tutorial():
    config = load_config("pets_tutorial", {})
    assert not config.trainer.calibrate  # its probabilities are its own
    trainer = config.trainer
    assert config.dataset.splits.model_dump() == {
        "train": "train",
        "validation": "test",
        "test": "test",
    }
    assert config.transform.image_size == (128, 128)
    assert (trainer.epochs, trainer.batch_size, trainer.shuffle_buffer) == (20, 64, 1000)
    assert trainer.validation_subsplits == 5
    assert (trainer.learning_rate, trainer.learning_rate_schedule) == (0.001, "constant")
    assert trainer.encoder.input_range == (0, 1) and trainer.encoder.fine_tune_from_epoch is None
    assert trainer.class_weights == "none" and trainer.augmentation.min_scale == 1
    weighted = load_config("pets_tutorial_weighted", {})
    assert weighted.trainer.class_weights == (2, 2, 1)
    assert weighted.trainer.model_copy(update={"class_weights": "none"}) == trainer


def test_pets_never_looks_at_test_before_the_end():
    splits = load_config("pets", {}).dataset.splits
    assert "test" not in splits.train + splits.validation


def test_the_environment_chooses_and_overrides(tmp_path):
    path = write(tmp_path, name="mine")
    environment = {
        "SEGLINE_CONFIG": path,
        "SEGLINE__TRAINER__EPOCHS": "3",
        "SEGLINE__TRAINER__CLASS_WEIGHTS": "[2, 2, 1]",
        "SEGLINE__DATASET__DATA_DIR": "/data",
        "SEGLINE__EVALUATOR__MIN_CLASS_IOU__PET": "0.5",
    }
    config = load_config(environment=environment)
    assert config.name == "mine" and config.trainer.epochs == 3
    assert config.trainer.class_weights == (2, 2, 1)
    assert config.dataset.data_dir == "/data"
    assert config.evaluator.min_class_iou["pet"] == 0.5


def test_quickstart_is_the_default():
    assert load_config(environment={}).name == "quickstart"


def test_no_such_config():
    text = error_of("pest")
    assert (
        "'pest'" in text
        and "pets, pets_best, pets_fast, pets_tutorial" in text
        and "SEGLINE_CONFIG" in text
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trainer__epoch": 3}, ["trainer.epoch: there is no such key", "did you mean epochs?"]),
        (
            {"pusher": {"exports": [{"format": "onnx", "quantise": "int8"}]}},
            ["pusher.exports.0.quantise: there is no such key (did you mean quantize?). Allowed:"],
        ),
        ({"trainer__epochs": "many"}, ["trainer.epochs: ", "integer", "'many'"]),
        ({"trainer__epochs": 0}, ["trainer.epochs: ", "greater than 0"]),
        ({"trainer__precision": "half"}, ["trainer.precision", "mixed_bfloat16"]),
        ({"trainer__class_weights": [1, 2]}, ["2 weights for 3 classes (pet, background, border)"]),
        (
            {"trainer__serving": {"scales": [0.75, 1]}},
            ["trainer.serving.scales: [0.75, 1.0]: of 96x96 pixels only multiples of 1/3 (0.333)"],
        ),
        ({"trainer__serving": {"scales": [1, 1.01]}}, ["trainer.serving.scales: ", "the same"]),
        ({"trainer__serving": {"scales": [1, 3]}}, ["trainer.serving.scales.1", "equal to 2"]),
        (
            {"tuner": {"space": {"serving.flip": [False, True]}}},
            ["tuner.space: serving.flip: no trial's score depends on it"],
        ),
        ({"tuner": {"space": {"serving": [{}, {"flip": True}]}}}, ["serving: no trial's score"]),
        ({"trainer__class_weights": [0, 0, 0]}, ["trainer.class_weights", "greater than 0"]),
        ({"transform__image_size": [100, 96]}, ["transform.image_size.0", "multiple of 32"]),
        ({"dataset__version": "latest"}, ["dataset.version: 'latest'", "4.*.*"]),
        ({"evaluator__min_class_iou": {"dog": 0.5}}, ["there is no class 'dog', only pet, back"]),
        (
            {"tuner": {"space": {"learning_rte": [0.1, 0.2]}}},
            ["tuner.space: learning_rte: 0.1: Extra inputs are not permitted"],
        ),
        ({"tuner": {"space": {"epochs.x": [1, 2]}}}, ["epochs.x: there is no such setting"]),
        ({"tuner": {"space": {"seed": {"min": 2, "max": 1}}}}, ["min must be smaller than max"]),
        ({"evaluator__split": "eval"}, ["evaluator.split: must be one of train, validation"]),
        ({"name": "My Pipeline"}, ["name: "]),
        ({"pusher__exports": [{"format": "tflite"}]}, ["pusher.exports.0.format", "'litert'"]),
        (
            {"pusher__exports": [{"format": "onnx"}, {"format": "onnx", "max_drop": 0.1}]},
            ["pusher.exports: format onnx with quantize none is there twice"],
        ),
        (
            {"pusher__exports": [{"format": "onnx", "calibration_pictures": 7}]},
            ["calibration_pictures: only `quantize: int8` is calibrated; here it is `none`"],
        ),
        (
            {
                "pusher__exports": [{"format": "onnx"}],
                "dataset__bands": {"count": 4, "depth": "uint16"},
            },
            ["pusher.exports: an export sees red, green and blue of 8 bits; with dataset.bands"],
        ),
        (
            {"evaluator__objects": ["pet"]},
            ["evaluator: objects: they are counted at the pictures' own size: at: picture"],
        ),
        (
            {"evaluator__at": "picture", "evaluator__objects": ["car"]},
            ["evaluator.objects: there is no class 'car', only"],
        ),
        ({"classes": {"values": {"pet": 1, "dog": 1}}}, ["classes: raw mask value 1 is listed"]),
        ({"dataset__features__slice_by": ["mask"]}, ["'mask' is a name that segline uses"]),
    ],
)
def test_wrong_keys_and_values_name_file_key_and_what_is_allowed(tmp_path, changes, expected):
    path = write(tmp_path, **changes)
    text = error_of(path)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    for part in expected:
        assert part in text, text


def test_an_error_in_an_override_names_the_variable():
    text = error_of("quickstart", {"SEGLINE__TRAINER__EPOCHS": "many"})
    assert text.startswith("SEGLINE__TRAINER__EPOCHS: trainer.epochs: ")
    text = error_of("quickstart", {"SEGLINE__NAME__X": "1"})
    assert text.startswith("SEGLINE__NAME__X: 'name' is a single value")


def test_all_errors_are_listed(tmp_path):
    text = error_of(write(tmp_path, trainer__epochs=0, trainer__seed=-1))
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize("content", ["a: [", "- list", "just text", ""])
def test_files_that_are_no_config(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    assert str(path) in error_of(str(path))
