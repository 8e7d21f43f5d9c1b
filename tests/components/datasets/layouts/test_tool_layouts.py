"""Annotations as their tools write them: COCO's dialects, labelme, YOLO, run lengths, boxes."""

import base64
import io

import numpy as np
import pytest
import scenes
from PIL import Image
from scenes import HEIGHT, WIDTH, names, save, scene
from surveys import COUNT, assert_own_splits, assert_values, parted, read

from components.common.errors import UserError
from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from components.datasets.survey import survey


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


def test_shapes_that_are_nested_otherwise_and_categories_that_are_not_listed(tmp_path):
    for at, nested in enumerate(
        (
            lambda shape: shape[0],
            lambda shape: [np.reshape(shape[0], (-1, 2)).tolist()],
            lambda shape: np.reshape(shape[0], (-1, 2)).tolist(),
        )
    ):
        folder = tmp_path / str(at)
        scenes.pictures(folder / "images", COUNT)
        content = scenes.coco({f"{name}.png": i for i, name in enumerate(names(COUNT))})
        for annotation in content["annotations"]:
            annotation["segmentation"] = nested(annotation["segmentation"])
        del content["categories"]
        scenes.write_json(folder / "all.json", content)
        found = survey(str(folder))
        assert_values(found)
        assert found.names == {1: "category_1", 2: "category_2"}


def _other_endings(content):
    for number, entry in enumerate(content["images"]):
        entry["file_name"] = entry["file_name"].replace(".png", (".jpg", ".PNG")[number % 2])


def _listed_twice(content):
    for entry in content["images"][:3]:
        content["images"].append({**entry, "id": 500 + entry["id"]})
        for one in content["annotations"]:
            if one["image_id"] == entry["id"] and one["category_id"] == 2:
                one["image_id"] = 500 + entry["id"]


def _large_ids(content):
    for one in content["categories"]:
        one["id"] += 100_000
    for one in content["annotations"]:
        one["category_id"] += 100_000


def _nameless(content):
    for one in content["categories"]:
        del one["name"]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_other_endings, "12 pictures end otherwise than the annotations say"),
        (_listed_twice, "3 pictures are listed twice"),
        (_large_ids, "ids are as large as 100002: the categories are numbered from 1"),
        (_nameless, ""),
    ],
)
def test_coco_as_filters_and_merges_leave_it(edit, told, tmp_path):
    scenes.pictures(tmp_path / "images", COUNT)
    content = scenes.coco({f"{name}.png": i for i, name in enumerate(names(COUNT))})
    edit(content)
    scenes.write_json(tmp_path / "all.json", content)
    found = survey(str(tmp_path))
    assert_values(found)
    assert told in " ".join(found.notes)
    names_told = ("category_1", "category_2") if edit is _nameless else ("cat", "dog")
    assert (found.names[1], found.names[2]) == names_told


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_polygons_on_pictures_that_lie(ending, tmp_path):
    """The file has no sizes: they are the shown picture's."""
    for index, name in enumerate(names(COUNT)):
        image = Image.fromarray(np.ascontiguousarray(np.rot90(scene(index)[0])))
        (tmp_path / "images").mkdir(exist_ok=True)
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / f"images/{name}.{ending}", exif=exif)
    files = {f"{name}.{ending}": i for i, name in enumerate(names(COUNT))}
    content = scenes.coco(files)
    for entry in content["images"]:
        del entry["width"], entry["height"]
    scenes.write_json(tmp_path / "all.json", content)
    assert_values(survey(str(tmp_path)))


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


def test_a_dataset_of_boxes(tmp_path):
    scenes.pictures(tmp_path / "images", COUNT)
    for name in names(COUNT):
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / f"labels/{name}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    with pytest.raises(UserError, match="12 pictures have boxes, but no shapes"):
        survey(str(tmp_path))
    values, _ = read(survey(str(tmp_path), boxes="draw"))
    assert (values["s00"] == 1).sum() == (HEIGHT // 2) * (WIDTH // 4)


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


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("order", ["C", "F"])
def test_run_lengths_say_how_pixels_are_counted(order, first, square, tmp_path):
    """Along the rows or down the columns; a thing in the corner begins with the first number."""
    lines, drawn = ["id,rle"], []
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        if square:
            image, mask = image[:, :HEIGHT], mask[:, :HEIGHT]
        mask = (mask > 0).astype(np.uint8)
        mask[:3, :4] = index == 0
        image[:3, :4] = 255 * mask[:3, :4, None]
        save(tmp_path / "images" / f"{name}.png", image)
        edges = np.flatnonzero(np.diff([0, *mask.flatten(order), 0]))
        runs = [f"{a + first} {b - a}" for a, b in zip(edges[::2], edges[1::2], strict=True)]
        lines.append(f"{name},{' '.join(runs)}")
        drawn.append(mask)
    (tmp_path / "train.csv").write_text("\n".join(lines))
    found = survey(str(tmp_path))
    values, _ = read(found)
    for name, mask in zip(names(COUNT), drawn, strict=True):
        np.testing.assert_array_equal(values[name], mask, name)
    told = " ".join(found.notes)
    assert ("along the rows" in told) == (order == "C")
    assert f"the first pixel has the number {first}" in told


def test_runs_that_nothing_says_the_direction_of_are_told(tmp_path):
    for name in names(COUNT):
        save(tmp_path / "images" / f"{name}.png", scene(int(name[1:]))[0])
    rows = [f"{name},{40 * i + 1} 9" for i, name in enumerate(names(COUNT))]
    (tmp_path / "train.csv").write_text("\n".join(["id,rle", *rows]))
    assert "nothing tells whether pixels" in " ".join(survey(str(tmp_path)).notes)


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
