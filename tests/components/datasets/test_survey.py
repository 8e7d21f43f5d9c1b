"""Folders as tools and people leave them: what is found, by pair and split.

Each layout is drawn here; the values that are read are compared with those that were drawn.
What values mean is in test_mask_decision.py, annotations are in test_tool_layouts.py.
"""

import json
import os
import unicodedata

import numpy as np
import pytest
import scenes
from scenes import VOC, names, paletted, save, scene
from surveys import COUNT, OWN, assert_own_splits, assert_values, lay_out, masks, png, read

from components.common.errors import UserError
from components.datasets.survey import survey

LAYOUTS = {
    "split first": ("{s}/images/{n}.png", "{s}/masks/{n}.png"),
    "split last": ("images/{s}/{n}.png", "labels/{s}/{n}.png"),
    "year": ("images/{s}2017/{n}.png", "annotations/{s}2017/{n}.png"),
    "capitals": ("{S}/Images/{n}.png", "{S}/Masks/{n}.png"),
    "one folder": ("{s}/{n}.png", "{s}/{n}_mask.png"),
    "CamVid": ("{s}/{n}.png", "{s}annot/{n}.png"),
    "Cityscapes": (
        "leftImg8bit/{s}/ulm/{n}_000019_leftImg8bit.png",
        "gtFine/{s}/ulm/{n}_000019_gtFine_labelIds.png",
    ),
    "ADE20K": ("images/{s}/ADE_{n}.png", "annotations/{s}/ADE_{n}.png"),
    "prefixes": ("{s}/img/image_{n}.png", "{s}/gt/label_{n}.png"),
    "suffixed folders": ("{s}_images/{n}.png", "{s}_masks/{n}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_owners_splits(layout, tmp_path):
    lay_out(tmp_path, *LAYOUTS[layout])
    found = survey(str(tmp_path))
    assert_values(found)
    assert_own_splits(found)


def test_train_and_val_without_test_and_a_test_without_masks(tmp_path):
    for index, name in enumerate(names(COUNT)):
        part = "val" if index % 3 == 0 else "train"
        image, mask, _ = scene(index)
        save(tmp_path / part / "images" / f"{name}.png", image)
        save(tmp_path / part / "masks" / f"{name}.png", mask)
    save(tmp_path / "test/images/t.png", scene(99)[0])
    found = survey(str(tmp_path))
    _, splits = read(found)
    assert not splits["test"] & splits["train"] and len(splits["test"]) == 2
    assert all(int(name[1:]) % 3 == 0 for name in splits["test"] | splits["validation"])
    assert any("50% of validation become test" in note for note in found.notes)
    assert found.matched.without_mask == ["test/images/t.png"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf# made by hand\r\n"])
@pytest.mark.parametrize(
    "line", ["{n}", "images/{n}.png masks/{n}.png", "./{n}.png", "/data/x/{n}.png"]
)
def test_lists(start, line, tmp_path):
    for name, mask in scenes.pictures(tmp_path / "images", COUNT).items():
        save(tmp_path / "masks" / f"{name}.png", mask)
    for part in ("train", "val", "test"):
        lines = [line.format(n=name) for name in OWN if OWN[name] == part]
        (tmp_path / f"{part}.txt").write_bytes(start + "\r\n".join(lines).encode())
    found = survey(str(tmp_path))
    assert found.config.split_by == "lists"
    assert_own_splits(found)


def test_tables_and_lists_of_train_and_validation_together(tmp_path):
    for name, mask in scenes.pictures(tmp_path / "images", COUNT).items():
        save(tmp_path / "masks" / f"{name}.png", mask)
    for part in ("trainval", "test"):
        lines = [name for name in OWN if (OWN[name] == "test") == (part == "test")]
        (tmp_path / f"{part}.txt").write_text("\n".join(lines))
    _, splits = read(survey(str(tmp_path)))
    assert splits["test"] == {name for name in OWN if OWN[name] == "test"}
    assert splits["validation"] and splits["train"]
    for part in ("trainval", "test"):
        (tmp_path / f"{part}.txt").unlink()
    for part in ("train", "val", "test"):
        rows = [f"{i};images/{n}.png;masks/{n}.png" for i, n in enumerate(OWN) if OWN[n] == part]
        table = "\r\n".join(["id;image;mask", *rows])
        (tmp_path / f"{part}.csv").write_text(table, encoding="utf-8-sig")
    assert_own_splits(survey(str(tmp_path)))


def _split_files():
    own = list(OWN.items())
    parts = {p: [f"{n}.png" for n, of in own if of == p] for p in ("train", "val", "test")}
    folds = [{"train": parts["train"], "val": parts["val"]}]
    rows = [f"{n}.png,{int(p == 'val')},{p == 'test'}" for n, p in own]
    return {
        "JSON": ("splits.json", json.dumps(parts)),
        "JSON of entries": (
            "datalist.json",
            json.dumps({p: [{"image": f"./images/{n}"} for n in ns] for p, ns in parts.items()}),
        ),
        "columns of yes and no": ("all.csv", "\n".join(["name,is_valid,is_test", *rows])),
        "pandas' index": (
            "all.csv",
            "\n".join([",name,split", *(f"{i},{n}.png,{p}" for i, (n, p) in enumerate(own))]),
        ),
        "folds": ("splits_final.json", json.dumps([*folds, {"train": [], "val": []}])),
    }


@pytest.mark.parametrize("kind", _split_files())
def test_splits_in_json_and_in_columns(kind, tmp_path):
    for name, mask in scenes.pictures(tmp_path / "images", COUNT).items():
        save(tmp_path / "masks" / f"{name}.png", mask)
    file, content = _split_files()[kind]
    (tmp_path / file).write_text(content)
    found = survey(str(tmp_path))
    assert found.config.split_by == "lists"
    if kind != "folds":
        return assert_own_splits(found)
    _, splits = read(found)
    assert splits["train"] == {name for name in OWN if OWN[name] == "train"}
    assert not splits["test"] & splits["validation"]


def test_a_list_of_the_test_pictures_alone(tmp_path):
    for name, mask in scenes.pictures(tmp_path / "images", COUNT).items():
        save(tmp_path / "masks" / f"{name}.png", mask)
    held = {name for name in OWN if OWN[name] == "test"}
    (tmp_path / "test.txt").write_text("\n".join(held))
    found = survey(str(tmp_path))
    _, splits = read(found)
    assert splits["test"] == held and splits["validation"] and len(splits["train"]) > 6
    assert "10 pictures are in none of the lists, and count as train" in " ".join(found.notes)


def test_two_validation_pictures_are_not_all_lent(tmp_path):
    """No train, two for validation: one of them is trained on, the other stays."""
    for index, name in enumerate(names(COUNT)):
        part = "val" if index < 2 else "test"
        image, mask, _ = scene(index)
        save(tmp_path / part / "images" / f"{name}.png", image)
        save(tmp_path / part / "masks" / f"{name}.png", mask)
    assert survey(str(tmp_path)).splits == {"train": 1, "validation": 1, "test": COUNT - 2}


@pytest.mark.parametrize("folder", ["eval", "held_out", "holdout", "testA", "test-dev", "Unseen"])
def test_nothing_of_such_a_folder_is_trained_on(folder, tmp_path):
    for index, name in enumerate(names(COUNT)):
        part = folder if index % 3 == 0 else "train"
        image, mask, _ = scene(index)
        save(tmp_path / part / "images" / f"{name}.png", image)
        save(tmp_path / part / "masks" / f"{name}.png", mask)
    _, splits = read(survey(str(tmp_path)))
    assert all(int(name[1:]) % 3 for name in splits["train"]) and len(splits["train"]) > 4


def test_kinds_of_masks_that_are_no_classes(tmp_path):
    """BDD's colours beside the values, two people's masks, and what a camera sees at all."""
    lay_out(tmp_path / "bdd", "images/10k/{s}/{n}.png", "labels/sem_seg/masks/{s}/{n}.png")
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        part = OWN[name]
        save(tmp_path / f"bdd/labels/sem_seg/colormaps/{part}/{name}.png", VOC[mask])
        save(tmp_path / f"two/{name}.jpg", image)
        for person, by in (("1stHO", 0), ("2ndHO", 1)):
            seen = np.roll((mask > 0).astype(np.uint8) * 255, by, 0)
            save(tmp_path / f"two/{name}_{person}.png", seen)
        save(tmp_path / f"eye/images/{name}.png", image)
        save(tmp_path / f"eye/mask/{name}.png", np.full_like(mask, 255))
        save(tmp_path / f"eye/manual/{name}.png", mask)
    found = survey(str(tmp_path / "bdd"))
    assert_values(found)
    assert_own_splits(found)
    two = survey(str(tmp_path / "two"))
    assert_values(two, lambda mask: (mask > 0) * 255)
    assert "s00_2ndHO.png" in two.matched.without_mask
    assert_values(survey(str(tmp_path / "eye")))


def test_the_splits_word_at_the_end_of_a_pictures_name(tmp_path):
    """DRIVE: 21_training.tif, 21_manual1.gif, and 21_training_mask.gif of what the camera sees."""
    for index in range(COUNT):
        image, mask, _ = scene(index)
        part = "test" if index < 4 else "training"
        save(tmp_path / part / f"images/{index:02d}_{part}.tif", image)
        save(tmp_path / part / f"1st_manual/{index:02d}_manual1.gif", np.uint8((mask > 0) * 255))
        save(tmp_path / part / f"mask/{index:02d}_{part}_mask.gif", np.full_like(mask, 255))
    found = survey(str(tmp_path))
    values, splits = read(found)
    for name, got in values.items():
        np.testing.assert_array_equal(got, (scene(int(name[:2]))[1] > 0) * 255, name)
    assert len(values) == COUNT and splits["test"] == {f"{i:02d}_test" for i in range(4)}
    assert "mask could be the masks too: --masks" in " ".join(found.notes)


def test_a_mask_is_never_of_another_splits_picture(tmp_path):
    lay_out(tmp_path, "train/images/{n}.png", "test/masks/{n}.png")
    with pytest.raises(UserError, match="no picture .* has a mask"):
        survey(str(tmp_path))


def test_one_mask_for_each_class_in_numbered_folders(tmp_path):
    """CelebAMask-HQ: 7.jpg, 0/00007_hair.png; not every picture has each."""
    for index in range(COUNT):
        image, mask, _ = scene(index)
        save(tmp_path / f"img/{index}.jpg", image)
        for value, kind in ((1, "hair"), (2, "left_ear")):
            if value == 1 or index % 2:
                part = (mask == value).astype(np.uint8) * 255
                save(tmp_path / f"mask-anno/{index // 5}/{index:05d}_{kind}.png", part)
    found = survey(str(tmp_path))
    assert found.names == {1: "hair", 2: "left_ear"}
    values, _ = read(found)
    for index in range(COUNT):
        mask = scene(index)[1]
        expected = mask if index % 2 else np.where(mask == 1, 1, 0)
        np.testing.assert_array_equal(values[str(index)], expected)


def test_voc_with_its_image_sets_and_border(tmp_path):
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(VOC)], palette[255] = VOC, (224, 224, 192)
    bordered = {}
    for index, (name, mask) in enumerate(
        scenes.pictures(tmp_path / "JPEGImages", COUNT, "jpg").items()
    ):
        mask = mask.copy()
        mask[:, 1:][np.diff(mask.astype(int), axis=1) != 0] = 255
        bordered[name] = mask
        for folder in ("SegmentationClass", "SegmentationObject"):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            paletted(mask, palette).save(path)
        sets = tmp_path / "ImageSets/Segmentation"
        sets.mkdir(parents=True, exist_ok=True)
        with open(sets / ("val.txt" if index < 4 else "train.txt"), "a") as file:
            file.write(f"{name}\n")
    found = survey(str(tmp_path))
    assert found.form == "the layout of Pascal VOC" and found.ignored == [255]
    assert found.config.masks.endswith("SegmentationClass")
    values, splits = read(found)
    assert all((values[name] == bordered[name]).all() for name in bordered)
    assert splits["validation"] | splits["test"] == set(names(4))


def test_several_kinds_of_masks_and_one_folder_for_each_thing(tmp_path):
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(tmp_path / "a/images" / f"{name}.png", image)
        save(tmp_path / "a/masks" / f"{name}_color.png", VOC[mask])
        save(tmp_path / "a/masks" / f"{name}_labelIds.png", mask)
        save(tmp_path / f"b/{name}/images/{name}.png", image)
        for value in (1, 2):  # names that say nothing
            save(
                tmp_path / f"b/{name}/masks/{index * 10 + value:04x}.png",
                (mask == value) * VOC[1, 0],
            )
        save(tmp_path / "c/images" / f"{name}.png", image)
        for value, kind in ((1, "cat"), (2, "dog")):
            save(tmp_path / f"c/masks/{kind}/{name}.png", (mask == value).astype(np.uint8) * 255)
    found = survey(str(tmp_path / "a"))
    assert_values(found)
    assert found.config.mask_suffix == "_labelIds" and "not _color" in " ".join(found.notes)
    assert_values(survey(str(tmp_path / "b")), lambda mask: (mask > 0) * 128)
    by_class = survey(str(tmp_path / "c"))
    assert by_class.names == {1: "cat", 2: "dog"}
    assert_values(by_class)


def test_pictures_and_numbered_masks_in_one_folder(tmp_path):
    for index in range(COUNT):
        image, mask, _ = scene(index)
        save(tmp_path / "benign" / f"benign ({index}).png", image)
        save(tmp_path / "benign" / f"benign ({index})_mask.png", (mask == 1).astype(np.uint8) * 255)
        if index % 2:
            path = tmp_path / "benign" / f"benign ({index})_mask_1.png"
            save(path, (mask == 2).astype(np.uint8) * 255)
    values, _ = read(survey(str(tmp_path)))
    for index in range(COUNT):
        mask = scene(index)[1]
        expected = ((mask > 0) if index % 2 else (mask == 1)) * 255
        np.testing.assert_array_equal(values[f"benign ({index})"], expected)


def test_names_that_are_spelled_apart_and_copies_that_nobody_means(tmp_path):
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(tmp_path / "images" / unicodedata.normalize("NFD", f"{name}_Grün.JPEG"), image)
        spelled = f"{name}_grün" if index % 3 == 0 else f"{name}_Grün"
        save(tmp_path / "masks" / unicodedata.normalize("NFC", f"{spelled}.JPEG.png"), mask)
    save(tmp_path / "images/.ipynb_checkpoints/s00-checkpoint.png", scene(0)[0])
    save(tmp_path / "masks/__MACOSX/s00.png", scene(0)[1])
    os.symlink(".", tmp_path / "images/all")
    os.symlink("nowhere.png", tmp_path / "images/gone.png")
    found = survey(str(tmp_path))
    assert_values(found)
    told = " ".join(found.notes)
    assert "other capitals" in told and "1 links lead nowhere" in told


def test_names_that_are_no_text_and_names_that_two_pictures_have(tmp_path):
    for name, mask in scenes.pictures(tmp_path / "images", COUNT).items():
        save(tmp_path / "masks" / f"{name}.png", mask)
    save(tmp_path / "images/s03.jpg", scene(50)[0])
    for folder in (b"images", b"masks"):
        path = os.path.join(os.fsencode(tmp_path), folder)
        os.rename(os.path.join(path, b"s00.png"), os.path.join(path, b"Gr\xfcn.png"))
    found = survey(str(tmp_path))
    assert [pair.name for pair in found.matched.pairs][:2] == ["Gr\\xfcn.png", "s01.png"]
    assert set(found.matched.without_mask) == {"s03.jpg", "s03.png"}
    assert any("share their name" in note for note in found.notes)


def test_names_and_colours_from_files_beside_the_masks(tmp_path):
    cvat = masks(tmp_path / "cvat", png(lambda mask, i: VOC[mask]))
    (tmp_path / "cvat/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
    )
    roboflow = tmp_path / "roboflow"
    lay_out(roboflow, "train/{n}_jpg.rf.0a.jpg", "train/{n}_jpg.rf.0a_mask.png")
    (roboflow / "train/_classes.csv").write_text(
        "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"
    )
    nnunet = tmp_path / "nnunet"
    lay_out(nnunet, "imagesTr/{n}_0000.png", "labelsTr/{n}.png")
    scenes.write_json(nnunet / "dataset.json", {"labels": {"background": 0, "cat": 1, "dog": 2}})
    for folder in (cvat, roboflow, nnunet):
        found = survey(str(folder))
        assert found.names == {0: "background", 1: "cat", 2: "dog"}, folder
        assert_values(found)


def test_what_is_not_read_is_named(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.nii.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(UserError, match=r"2 files end in .nii.gz, which is not read: NIfTI"):
        survey(str(tmp_path))
    for index, (content, told) in enumerate(
        (
            ({"a.png1": {"filename": "a.png", "regions": []}}, "VGG Image Annotator"),
            ([{"id": 1, "data": {"image": "x"}, "annotations": []}], "Label Studio"),
            ({"size": {"height": 1}, "objects": []}, "Supervisely"),
            ({"shapes": [], "imageData": "aGk="}, "holds the picture itself"),
            ({"categories": {}, "items": []}, "datum convert -f coco_instances"),
        )
    ):
        scenes.write_json(tmp_path / f"{index}/a.json", content)
        with pytest.raises(UserError, match=told):
            survey(str(tmp_path / str(index)))
    save(tmp_path / "p/a.png", scene(0)[0])
    (tmp_path / "p/clicks.csv").write_text("image,x,y\na.png,1,2\n")
    with pytest.raises(UserError, match="clicks.csv has points"):
        survey(str(tmp_path / "p"))
    for index, name in enumerate(names(COUNT)):
        save(tmp_path / f"pan/val2017/{name}.jpg", scene(index)[0])
        save(tmp_path / f"pan/panoptic_val2017/{name}.png", VOC[scene(index)[1]])
    entry = {"image_id": 1, "file_name": "s00.png", "segments_info": []}
    panoptic = {"images": [], "annotations": [entry], "categories": []}
    scenes.write_json(tmp_path / "pan/annotations/panoptic_val2017.json", panoptic)
    with pytest.raises(UserError, match="panoptic2semantic_segmentation.*--masks"):
        survey(str(tmp_path / "pan"))
    (tmp_path / "labels.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match="neither COCO's JSON files"):
        survey(str(tmp_path), annotations=(str(tmp_path / "images"),))
