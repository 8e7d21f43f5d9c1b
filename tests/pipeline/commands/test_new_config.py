"""`segline init`, as it is called."""

import re

import numpy as np
import pytest
import yaml
from PIL import Image

from components.datasets import vanishing
from pipeline import cli
from pipeline.config.loading import load_config

RNG = np.random.default_rng(0)


def make_folder(root, masks, images="images", mask_folder="masks", suffix="", kind="png"):
    """Pictures and masks; of each mask its name and its values or colours."""
    for name, content in masks.items():
        image, mask = root / images / f"{name}.jpg", root / mask_folder / f"{name}{suffix}.{kind}"
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 255, (*content.shape[:2], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(image)
        Image.fromarray(content).save(mask)


def values(*choices, size=(12, 16), count=60):
    masks = {}
    for index in range(count):
        masks[f"{index:03d}"] = RNG.choice(np.array(choices, np.uint8), size)
    return masks


def init(capsys, *arguments):
    """Output and exit status."""
    status = 0
    try:
        cli.main(["init", *map(str, arguments)])
    except SystemExit as end:
        status = end.code
    shown = capsys.readouterr()
    return shown.out + shown.err, status


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("most", [25_000_000, 100_000])
def test_thin_things_get_windows_however_large_the_pictures_are(place, capsys, monkeypatch, most):
    """Of very large masks a part is looked into; of none, they would be shrunk without a word."""
    monkeypatch.setattr(vanishing, "_MOST_PIXELS", most)
    mask = np.zeros((520, 540), np.uint8)
    mask[5::40] = mask[6::40] = 1
    make_folder(place / "fields", {f"{index:02d}": mask for index in range(6)})
    shown, status = init(capsys, "fields")
    assert status == 0, shown
    assert load_config("fields.yaml", {}).transform.fit == "tiles"
    assert "things of class object are about 2 pixels thick" in (place / "fields.yaml").read_text()


def test_a_folder_becomes_a_config_that_is_ready(place, capsys):
    masks = values(0, 255)
    make_folder(place / "My Cars", masks, suffix="_mask", kind="gif")
    Image.new("RGB", (16, 12)).save(place / "My Cars/images/alone.png")
    (place / "My Cars/images/000.jpg").write_bytes(b"no picture")
    shown, status = init(capsys, "My Cars")
    assert status == 1 and "1 of 60 pictures can't be used" in shown and "--leave-out" in shown
    assert "000.jpg" in shown and not (place / "my_cars.yaml").exists()
    shown, status = init(capsys, "My Cars", "--leave-out")
    assert status == 0
    assert "61 pictures" not in shown and "60 pictures in My Cars/images" in shown
    assert "heights 12–12 (median 12), widths 16–16 (median 16) pixels" in shown
    assert "without a mask, left out: 1 (alone.png)" in shown
    assert "can't be used (a run sets them aside): 1 (000.jpg: its picture can't be read" in shown
    assert "my_cars.yaml is written" in shown and "make run CONFIG=my_cars.yaml" in shown
    config = load_config("my_cars.yaml", {})
    assert config.name == "my_cars"
    assert config.dataset.folder.mask_suffix == "_mask"
    # By name: of other pictures, 1 % may be unusable, as anywhere.
    assert config.dataset.bad_examples.max_fraction == 0.01
    assert config.dataset.leave_out == "my_cars-leave-out.txt"
    assert (place / "my_cars-leave-out.txt").read_text() == "000.jpg\n"
    assert "my_cars-leave-out.txt names the pictures that are left out" in shown
    assert config.classes.values == {"background": 0, "object": 255}
    seen = np.concatenate([mask.ravel() for name, mask in masks.items() if name != "000"])
    share = np.mean(seen == 255)
    assert f"object: 255  # {share:.2%}" in (place / "my_cars.yaml").read_text()
    assert f"{share:.2%}" in shown

    again, status = init(capsys, "My Cars")
    assert status == 1 and "my_cars.yaml is there already: --force overwrites it" in again
    assert init(capsys, "My Cars", "--force", "--leave-out")[1] == 0


def test_many_values_and_255_for_nothing(place, capsys):
    masks = values(*range(7, 34, 2), 255)
    for mask in masks.values():
        mask[0] = 7
    for name in ("000", "001", "002"):
        masks[name][3:6, 3:13] = 40  # rare
    masks["003"][3, 3] = 50  # a slip
    make_folder(place / "city", masks, images="leftImg", mask_folder="gtFine")
    shown, status = init(
        capsys, "city", "--images", "city/leftImg", "--masks", "city/gtFine", "--out", "c.yaml"
    )
    assert status == 0, shown
    config = load_config("c.yaml", {})
    assert config.classes.ignore_values == (50, 255)
    assert "the value 50 is of 1 stray pixels in 003.png: they count nowhere" in shown
    assert list(config.classes.values.values()) == [*range(7, 34, 2), 40]
    weights = config.trainer.class_weights
    assert max(weights) == weights[-1] and sum(weights) == pytest.approx(1, abs=1e-3)


def test_a_value_has_one_share_and_few_pictures_are_told(place, capsys):
    masks = values(0, 1, 255, count=12)
    for mask in masks.values():
        mask[2:] = np.minimum(mask[2:], 1)
    make_folder(place / "few", masks)
    shown, status = init(capsys, "few", "--out", "few.yaml")
    assert status == 0, shown
    (told,) = [line for line in shown.splitlines() if "the value 255" in line]
    assert "%" not in told  # it is in the table
    sizes = {split: int(n) for split, n in re.findall(r"(validation|test) (\d+)", shown)}
    told = f"! few pictures to measure on (validation {sizes['validation']}, test {sizes['test']})"
    assert told in shown and "dataset.folder.validation and test" in shown
    make_folder(place / "many", values(0, 1, count=300))
    assert "few pictures" not in init(capsys, "many")[0]


def test_of_a_split_the_usable_pictures_are_counted(place, capsys):
    splits = ["train"] * 20 + ["val"] * 12 + ["test"] * 12
    names = [f"{split}/{index}" for index, split in enumerate(splits)]
    make_folder(place / "x", dict(zip(names, values(0, 1, count=44).values(), strict=True)))
    for name in names[20:30]:
        (place / "x/images" / f"{name}.jpg").write_bytes(b"no picture")
    shown, status = init(capsys, "x", "--leave-out")
    assert status == 0 and "! few pictures to measure on (validation 2): what" in shown


def test_coloured_masks_and_folders_of_splits(place, capsys):
    palette = np.array([[0, 0, 0], [200, 10, 10], [10, 200, 10]], np.uint8)
    indices = RNG.choice(3, (30, 12, 16), p=[0.7, 0.2, 0.1])
    names = [f"{part}/{index}" for index, part in enumerate(["train"] * 20 + ["val", "test"] * 5)]
    make_folder(place / "x", {n: palette[i] for n, i in zip(names, indices, strict=True)})
    shown, status = init(capsys, "x")
    assert status == 0, shown
    folder = load_config("x.yaml", {}).dataset.folder
    assert folder.split_by == "folders" and "train 20, validation 5, test 5" in shown
    assert folder.colors == {0: (0, 0, 0), 1: (200, 10, 10), 2: (10, 200, 10)}


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (dict.fromkeys("abc", np.zeros((4, 4), np.uint8)), "nothing but the value 0"),
        (
            dict.fromkeys("abc", RNG.integers(0, 255, (40, 40, 3)).astype(np.uint8)),
            "more than 256 colours",
        ),
        (dict.fromkeys("ab", np.eye(4, dtype=np.uint8)), "2 pictures with a mask are too few"),
    ],
)
def test_masks_that_make_no_classes(place, capsys, masks, message):
    make_folder(place / "x", masks)
    shown, status = init(capsys, "x")
    assert status == 1 and message in shown and not (place / "x.yaml").exists()


def test_folders_that_are_not_there_or_do_not_match(place, capsys):
    assert "there is no folder nowhere" in init(capsys, "nowhere")[0]
    make_folder(place / "x", values(0, 1, count=2))
    for mask, name in zip(sorted((place / "x/masks").iterdir()), "ab", strict=True):
        mask.rename(mask.with_name(f"{name}.png"))
    assert "no picture in x has a mask of the same name" in init(capsys, "x")[0]


def test_the_text_is_yaml_whatever_the_folder_is_called(place, capsys):
    root = place / "it's: #1"
    make_folder(root, values(0, 1))
    assert init(capsys, root.name)[1] == 0
    (path,) = place.glob("*.yaml")
    config = yaml.safe_load(path.read_text())
    assert config["dataset"]["folder"]["images"] == "it's: #1/images"
