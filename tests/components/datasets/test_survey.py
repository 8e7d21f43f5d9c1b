"""Folders as tools and people leave them: what is found, by value, pair and split.

Each layout is drawn here; the values that are read are compared with those that were drawn.
"""

import base64
import io
import json
import os
import unicodedata

import numpy as np
import pytest
import scenes
from PIL import Image
from scenes import HEIGHT, VOC, WIDTH, names, paletted, save, scene

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.mask_source import mask_source
from components.datasets.reading import read_pair
from components.datasets.splits import split
from components.datasets.survey import survey

COUNT = 12


def read(found):
    """Name without folders and ending -> values; and split -> names likewise."""
    source = mask_source(found.config)
    values = {}
    for pair in found.matched.pairs:
        got = read_pair(pair, source, found.config)
        assert not got.problem, got.problem
        values[stem(pair.name)] = np.asarray(Image.open(io.BytesIO(got.mask)))
    splits = split(found.matched.pairs, found.config, source)
    return values, {name: {stem(p.name) for p in pairs} for name, pairs in splits.items()}


def stem(name):
    return os.path.splitext(os.path.basename(name))[0]


def assert_values(found, meaning=lambda mask: mask, count=COUNT):
    values, _ = read(found)
    assert len(values) == count
    for index, name in enumerate(names(count)):
        key = next(one for one in values if name in one)
        np.testing.assert_array_equal(values[key], meaning(scene(index)[1]), name)


def parted(index):
    return ("train", "train", "train", "val", "test", "train")[index % 6]


OWN = {name: parted(index) for index, name in enumerate(names(COUNT))}


def assert_own_splits(found):
    _, splits = read(found)
    for name, part in (("train", "train"), ("validation", "val"), ("test", "test")):
        got = {one for names in splits[name] for one in OWN if one in names}
        assert got == {one for one in OWN if OWN[one] == part}, name


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
    for index, name in enumerate(names(COUNT)):
        part = parted(index)
        for pattern, content in zip(LAYOUTS[layout], scene(index)[:2], strict=True):
            path = pattern.format(s=part, S=part.capitalize(), n=name)
            save(tmp_path / path, content)
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


def masks(folder, make, images=True, count=COUNT):
    for index, name in enumerate(names(count)):
        image, mask, _ = scene(index)
        if images:
            save(folder / "images" / f"{name}.png", image)
        (folder / "masks").mkdir(exist_ok=True, parents=True)
        make(folder / "masks" / name, mask, index)
    return str(folder)


def png(content):
    return lambda path, mask, index: save(path.with_suffix(".png"), content(mask, index))


def own_palette(path, mask, index):
    order = np.random.default_rng(index).permutation(3)
    paletted(np.argsort(order).astype(np.uint8)[mask], VOC[order]).save(path.with_suffix(".png"))


def mixed(path, mask, index):
    image = (Image.fromarray(mask), paletted(mask, VOC), Image.fromarray(VOC[mask]))[index % 3]
    image.save(path.with_suffix(".png"))


def smooth(path, mask, index):
    drawn = Image.fromarray((mask > 0).astype(np.uint8) * 255)
    large = drawn.resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.NEAREST)
    large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(
        path.with_suffix(".jpg"), quality=80
    )


def cut_out(path, mask, index):
    hidden = np.full((*mask.shape, 3), 40 * (index % 5), np.uint8)
    color = np.where(mask[..., np.newaxis] > 0, VOC[mask], hidden)
    alpha = ((mask > 0) * 255).astype(np.uint8)
    save(path.with_suffix(".png"), np.dstack([color, alpha]))


VALUES = {
    "254 is a 255 that was drawn over": (
        png(
            lambda mask, i: np.where(
                (mask == 1) & (i == 2) & (np.arange(WIDTH) < 8), 254, (mask > 0) * 255
            ).astype(np.uint8)
        ),
        lambda mask: (mask > 0) * 255,
    ),
    "palettes of their own": (own_palette, lambda mask: np.array([0, 1, 2])[mask]),
    "a palette of greys": (
        lambda path, mask, i: paletted(mask, np.array([[0] * 3, [128] * 3, [255] * 3])).save(
            path.with_suffix(".png")
        ),
        lambda mask: np.array([0, 128, 255])[mask],
    ),
    "three forms": (mixed, lambda mask: mask),
    "JPEG": (smooth, lambda mask: (mask > 0) * 255),
    "only in the transparency": (
        png(lambda mask, i: np.dstack([mask * 0] * 3 + [(mask > 0).astype(np.uint8) * 255])),
        lambda mask: (mask > 0) * 255,
    ),
    "16 bits": (
        png(lambda mask, i: mask.astype(np.uint16) * 1000),
        lambda mask: mask.astype(int) * 1000,
    ),
    "an array": (
        lambda path, mask, i: np.save(path.with_suffix(".npy"), mask.astype(np.int64)),
        lambda mask: mask,
    ),
    "a pixel too large": (
        png(lambda mask, i: np.pad(mask, ((0, i % 2), (0, 1)), "edge")),
        lambda mask: mask,
    ),
}


def classes_of(found, mask):
    """Values that were read, as the mask has them: colours have no order of their own."""
    pairs = set(zip(mask.ravel().tolist(), found.ravel().tolist(), strict=True))
    table = dict(pairs)
    assert len(table) == len(pairs) == len(set(table.values())), pairs
    return np.vectorize(table.get)(mask)


@pytest.mark.parametrize("kind", VALUES)
def test_what_values_mean(kind, tmp_path):
    make, meaning = VALUES[kind]
    found = survey(masks(tmp_path, make))
    values, _ = read(found)
    for index, name in enumerate(names(COUNT)):
        mask = scene(index)[1]
        if kind == "palettes of their own":
            np.testing.assert_array_equal(classes_of(values[name], mask), values[name])
        else:
            np.testing.assert_array_equal(values[name], meaning(mask), name)
    if kind != "16 bits" and kind != "an array":
        assert found.notes, "nobody was told"
    assert 255 not in found.ignored


def test_transparent_is_background_whatever_lies_under_it(tmp_path):
    found = survey(masks(tmp_path, cut_out))
    values, _ = read(found)
    tables = [
        dict(set(zip(scene(i)[1].ravel().tolist(), values[n].ravel().tolist(), strict=True)))
        for i, n in enumerate(names(COUNT))
    ]
    assert all(table == tables[0] for table in tables)
    assert tables[0][0] == 0 and sorted(tables[0].values()) == [0, 1, 2]


def things(mask, index):
    """Numbers of things, 1 to n, another n in each picture."""
    rng, numbered = np.random.default_rng(index), np.zeros_like(mask)
    places = rng.permutation(48)[: 5 + index]
    for number, place in enumerate(places, 1):
        y, x = divmod(int(place), 8)
        numbered[y * 6 : y * 6 + 4, x * 6 : x * 6 + 4] = number
    return numbered


REFUSED = {
    "fractions": (
        lambda path, mask, i: np.save(path.with_suffix(".npy"), mask / 2),
        r"s00.npy.*no whole numbers \(0.5\).*--recode 0.5=1",
    ),
    "things": (png(things), "look like numbers of things .*--instances .*--classes"),
    "colours in JPEG": (
        lambda path, mask, i: save(path.with_suffix(".jpg"), VOC[mask]),
        "saved with loss.*--colors",
    ),
    "LFS": (
        lambda path, mask, i: path.with_suffix(".png").write_bytes(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
        ),
        "git lfs pull",
    ),
    "a negative value": (
        lambda path, mask, i: np.save(path.with_suffix(".npy"), mask.astype(np.int16) - 1),
        "the value -1.*--recode=-1=255",
    ),
    "another size": (png(lambda mask, i: mask[::2, ::2]), r"mask 24x18, picture 48x36"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_told_is_asked(kind, tmp_path):
    make, message = REFUSED[kind]
    with pytest.raises(UserError, match=message):
        survey(masks(tmp_path, make))


def test_answers(tmp_path):
    halves = masks(tmp_path / "a", REFUSED["fractions"][0])
    assert_values(survey(halves, answers=Answers(recode={0.5: 1, 1.0: 2})))
    numbered = masks(tmp_path / "b", png(things))
    values, _ = read(survey(numbered, answers=Answers(instances=True)))
    assert set(np.unique(values["s00"])) == {0, 1}
    jpeg = masks(tmp_path / "c", REFUSED["colours in JPEG"][0])
    colors = [tuple(map(int, color)) for color in VOC[:3]]
    values, _ = read(survey(jpeg, answers=Answers(colors=colors)))
    agree = np.mean([np.mean(values[n] == scene(i)[1]) for i, n in enumerate(names(COUNT))])
    assert agree > 0.93  # (a rim may be lost)


def test_coco_in_its_dialects(tmp_path):
    scenes.pictures(tmp_path / "images", COUNT)
    spelled = ("images\\4\\{}.png", "../../media/{}.png", "https://x/y/{}.png", "/d/?d=a/{}.png")
    files = {spelled[i % 4].format(name): i for i, name in enumerate(names(COUNT))}
    content = scenes.coco(files, ((0, "Straße"), (1, "猫")))
    content["images"][0] |= {"height": "36", "width": 48.0}
    content["images"][1] |= {"height": None, "width": None}
    click = {**content["annotations"][0], "id": 900, "segmentation": [[3, 3, 4, 4]]}
    orphan = {**content["annotations"][0], "id": 901, "image_id": 5000}
    unlisted = {**content["annotations"][4], "id": 902, "category_id": 7}
    content["annotations"] += [click, orphan, unlisted]
    scenes.write_json(tmp_path / "annotations/all.json", content, "utf-8-sig")
    captions = {**content, "annotations": [{"id": 1, "image_id": 1, "caption": "x"}]}
    scenes.write_json(tmp_path / "annotations/captions.json", captions)
    found = survey(str(tmp_path))
    values, _ = read(found)
    for index, name in enumerate(names(COUNT)):
        expected = scene(index)[1].astype(int)
        if index == 2:  # whose first thing has a second annotation
            assert set(np.unique(values[name])) <= {0, 1, 2, 8}
        else:
            np.testing.assert_array_equal(values[name], expected, name)
    assert found.names[1] == "Straße" and found.names[2] == "猫" and found.names[8] == "category_7"
    told = " ".join(found.notes)
    for word in (
        "id + 1",
        "captions.json",
        "not listed",
        "less than three points",
        "category_id 7",
    ):
        assert word in told


def test_a_download_of_roboflow(tmp_path):
    """Each folder's JSON speaks of its own pictures, though all begin with frame 0."""
    for part, first in (("train", 0), ("valid", 6), ("test", 9)):
        files = {}
        for number in range(6 if part == "train" else 3):
            save(tmp_path / part / f"frame_{number}.png", scene(first + number)[0])
            files[f"frame_{number}.png"] = first + number
        content = scenes.coco(files, ((0, "animals"), (1, "cat"), (2, "dog")))
        scenes.write_json(tmp_path / part / "_annotations.coco.json", content)
    found = survey(str(tmp_path))
    source = mask_source(found.config)
    firsts = {"train": 0, "valid": 6, "test": 9}
    for pair in found.matched.pairs:
        folder, _, name = pair.name.partition("/")
        index = firsts[folder] + int(name[6])
        mask = Image.open(io.BytesIO(read_pair(pair, source, found.config).mask))
        np.testing.assert_array_equal(np.asarray(mask), scene(index)[1])
    assert found.splits == {"train": 6, "validation": 3, "test": 3}
    assert found.names == {1: "cat", 2: "dog"}


def test_boxes_without_shapes_are_never_background(tmp_path):
    scenes.pictures(tmp_path / "images", COUNT)
    content = scenes.coco({f"{name}.png": i for i, name in enumerate(names(COUNT))})
    for annotation in content["annotations"][:4]:
        annotation["segmentation"] = []
    scenes.write_json(tmp_path / "all.json", content)
    found = survey(str(tmp_path))
    assert len(found.matched.pairs) == COUNT - 2
    assert "4 annotations have a box, but no shape" in found.notes
    assert_values(survey(str(tmp_path), boxes="draw"))


def labelme(folder):
    for index, name in enumerate(names(COUNT)):
        image, mask, boxes = scene(index)
        save(folder / f"{name}.png", image)
        left, top, right, bottom = boxes[1]
        part = Image.fromarray((mask == 2)[top:bottom, left:right])
        buffer = io.BytesIO()
        part.save(buffer, "PNG")
        encoded = base64.b64encode(buffer.getvalue()).decode()
        corners = [[left, top], [right - 1, bottom - 1]]
        shapes = [
            {"label": "cat", "shape_type": "polygon", "points": scenes.polygon(boxes[0])},
            {"label": "dog", "shape_type": "mask", "points": corners, "mask": encoded},
            {"label": "nose", "shape_type": "point", "points": [[1, 1]]},
        ]
        if index % 2:
            shapes[1] = {
                "label": "dog",
                "shape_type": "rectangle",
                "points": [[left, top], [right, bottom]],
            }
        content = {"version": "5.4.1", "shapes": shapes, "imagePath": f"{name}.png"}
        content |= {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        scenes.write_json(folder / f"{name}.json", content)


def yolo(folder):
    for index, name in enumerate(names(COUNT)):
        image, _, boxes = scene(index)
        save(folder / "images" / parted(index) / f"{name}.png", image)
        lines = [
            " ".join(
                [
                    str(number),
                    *(f"{x / WIDTH:.9f} {y / HEIGHT:.9f}" for x, y in scenes.polygon(box)),
                ]
            )
            for number, box in enumerate(boxes)
        ]
        path = folder / "labels" / parted(index) / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    (folder / "data.yaml").write_text("train: images/train\nnames: {0: cat, 1: dog}\n")


def kaggle(folder):
    lines = ["ImageId,ClassId,EncodedPixels"]
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / "train_images" / f"{name}.png", image)
        for value, label in ((1, "cat"), (2, "dog")):
            flat = np.concatenate([[0], (mask == value).T.ravel().astype(int), [0]])
            edges = np.flatnonzero(np.diff(flat))
            runs = " ".join(
                f"{a + 1} {b - a}" for a, b in zip(edges[::2], edges[1::2], strict=True)
            )
            lines.append(f"{name}.png,{label},{runs}")
    folder.mkdir(exist_ok=True)
    (folder / "train.csv").write_text("\n".join(lines))


@pytest.mark.parametrize("make", [labelme, yolo, kaggle])
def test_annotations_of_other_tools(make, tmp_path):
    make(tmp_path / "data")
    found = survey(str(tmp_path / "data"))
    assert found.names == {1: "cat", 2: "dog"}
    assert_values(found)
    if make is yolo:
        assert_own_splits(found)
    if make is labelme:
        assert "12 shapes of the kind point" in " ".join(found.notes)


def test_names_and_colours_from_files_beside_the_masks(tmp_path):
    cvat = masks(tmp_path / "cvat", png(lambda mask, i: VOC[mask]))
    (tmp_path / "cvat/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
    )
    roboflow = tmp_path / "roboflow"
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(roboflow / f"train/{name}_jpg.rf.0a.jpg", image)
        save(roboflow / f"train/{name}_jpg.rf.0a_mask.png", mask)
    (roboflow / "train/_classes.csv").write_text(
        "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"
    )
    nnunet = tmp_path / "nnunet"
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(nnunet / f"imagesTr/{name}_0000.png", image)
        save(nnunet / f"labelsTr/{name}.png", mask)
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
    (tmp_path / "labels.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match="neither COCO's JSON files"):
        survey(str(tmp_path), annotations=(str(tmp_path / "images"),))


def test_masks_of_two_annotators_and_datasets_of_boxes(tmp_path):
    def scale(path, mask, index):
        save(path.with_suffix(".png"), (mask > 0).astype(np.uint8) * (255 if index % 2 else 1))

    two = masks(tmp_path / "scales", scale)
    with pytest.raises(UserError, match="one thing in two scales.*--recode 255=1"):
        survey(two)
    assert_values(survey(two, answers=Answers(recode={255: 1})), lambda mask: mask > 0)

    def form(path, mask, index):
        grey = Image.fromarray((mask > 0).astype(np.uint8) * 255)
        (grey if index % 2 else paletted(mask, VOC)).save(path.with_suffix(".png"))

    with pytest.raises(UserError, match=r"several forms: 6 palette \(s00.png\), 6 grey"):
        survey(masks(tmp_path / "forms", form))

    boxes = tmp_path / "boxes"
    scenes.pictures(boxes / "images", COUNT)
    for name in names(COUNT):
        (boxes / "labels").mkdir(exist_ok=True)
        (boxes / f"labels/{name}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    with pytest.raises(UserError, match="12 pictures have boxes, but no shapes"):
        survey(str(boxes))
    values, _ = read(survey(str(boxes), boxes="draw"))
    assert (values["s00"] == 1).sum() == (HEIGHT // 2) * (WIDTH // 4)
