"""Rounds of labelling: which picture came in which."""

import unicodedata

import pytest
import tensorflow_datasets as tfds
from picture_folders import config_of, mask, picture, values

from components.common import schema
from components.common.errors import UserError
from components.datasets import image_folder
from components.datasets.config import FolderConfig
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.rounds import rounds_of


def test_rounds_of_labelling_are_told_of_each_picture_and_are_part_of_the_version(folder, tmp_path):
    root, truths = folder
    listed = sorted(truths)[::3]
    (tmp_path / "second.txt").write_text("\n".join(listed))
    plain = image_folder.open_folder(config_of(root).folder, str(tmp_path / "tfds"))
    config = config_of(root, rounds={"second": str(tmp_path / "second.txt")})
    builder = image_folder.open_folder(config.folder, str(tmp_path / "tfds"))
    assert builder.builder_config.name != plain.builder_config.name
    builder.download_and_prepare()
    skip = {name: tfds.decode.SkipDecoding() for name in ("image", "segmentation_mask")}
    found = {}
    for split in schema.SPLITS:
        for one in builder.as_dataset(split, decoders=skip).as_numpy_iterator():
            found[one["file_name"].decode()] = one["round"].decode()
    assert found == {name: "second" if name in listed else "first" for name in truths}


@pytest.mark.parametrize(
    "lists, message",
    [
        ({"second": "a/0.jpg\nno.jpg"}, "second.txt names 1 pictures that are not in .*no.jpg"),
        ({"second": "a/0.jpg", "third": "a/0.jpg"}, "a/0.jpg is of second and of third"),
    ],
)
def test_rounds_that_cant_be(folder, tmp_path, lists, message):
    paths = {name: tmp_path / f"{name}.txt" for name in lists}
    for name, content in lists.items():
        paths[name].write_text(content)
    config = config_of(folder[0], rounds={name: str(path) for name, path in paths.items()})
    with pytest.raises(UserError, match=message):
        image_folder.open_folder(config.folder, str(tmp_path / "tfds"))


def rounds_told(tmp_path, names, **lists):
    """Picture's name -> its round, of a `data` that has the lists beside the pictures."""
    for name in names:
        picture(tmp_path / "data" / name)
        mask(tmp_path / "masks" / f"{name.rpartition('.')[0]}.png", values())
    for path, content in lists.values():
        (tmp_path / "data" / path).write_text(content)
    paths = {name: str(tmp_path / "data" / path) for name, (path, _) in lists.items()}
    folders = {"images": str(tmp_path / "data"), "masks": str(tmp_path / "masks")}
    found = FolderConfig(**folders, rounds=paths)
    return rounds_of(mask_source(found).match().pairs, found)


EQUAL = "round-1/images/0.jpg", "round-2/images/0.jpg"


def test_a_rounds_list_means_the_pictures_of_its_own_folder(tmp_path):
    names = ["0.jpg", *EQUAL, "round-2/images/#1.jpg"]
    found = rounds_told(
        tmp_path,
        names,
        second=("round-2/pictures.txt", "# of may\n#\n#1.jpg\n0.jpg\n#2.jpg\n"),
        third=("round-1/pictures.txt", "images/0\n"),
    )
    assert found == dict(zip(names, ("first", "third", "second", "second"), strict=True))


def test_a_rounds_list_elsewhere_means_a_picture_by_its_whole_path(tmp_path):
    found = rounds_told(tmp_path, ["0.jpg", *EQUAL], second=("list.txt", f"{EQUAL[1]}\n0.jpg"))
    assert found == {"0.jpg": "second", EQUAL[0]: "first", EQUAL[1]: "second"}


def test_a_name_of_several_pictures_is_said_to_be_ambiguous(tmp_path):
    message = "list.txt has 1 names that are ambiguous, such as 0.jpg: it may be round-1/images/0"
    with pytest.raises(UserError, match=f"rounds: .*{message}"):
        rounds_told(tmp_path, EQUAL, second=("list.txt", "0.jpg"))


def test_a_name_in_composed_form_means_the_file_of_a_mac(tmp_path):
    names = [unicodedata.normalize("NFD", name) for name in ("tür.jpg", "a/tür.jpg")]
    found = rounds_told(tmp_path, names, second=("list.txt", "tür.jpg"))
    assert found == {names[0]: "second", names[1]: "first"}
