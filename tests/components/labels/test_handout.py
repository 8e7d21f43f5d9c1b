"""What is handed out to be labelled, and what comes back of it by the road for own data."""

import csv
import io
import json
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from pycocotools import mask as coco_mask

from components.common import palette, schema
from components.common.errors import UserError
from components.common.picture_settings import PictureSettings
from components.datasets.config import FolderConfig
from components.datasets.sources.mask_source import mask_source
from components.labels import handout
from components.labels.polygons import polygons_of
from components.labels.selection import Candidate, choose, predict
from components.predictor.picture_files import find_pictures

CLASSES = schema.ClassTable(values={"road": 0, "pet": 1, "border": 3})


def rough_mask(seed, shape=(40, 53), classes=3):
    """Blobs with holes and islands, specks, and corners that touch."""
    rng = np.random.default_rng(seed)
    fields = [scipy.ndimage.gaussian_filter(rng.random(shape), 2.5) for _ in range(classes)]
    mask = np.argmax(fields, 0).astype(np.uint8)
    mask[rng.random(shape) < 0.03] = 1
    mask[2:12, 2:12] = 1  # a ring in a ring, at its corner
    mask[4:10, 4:10] = 0
    mask[6:8, 6:8] = 2
    mask[3, 3] = 0
    mask[4, 4] = 1
    return mask


def windings(polygon, shape):
    """How often a polygon of upright and level sides goes around each pixel."""
    points = np.array(polygon, int).reshape(-1, 2)
    turns = np.zeros((shape[0], shape[1] + 1), int)
    for (x, y), (to_x, to_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
        assert (x == to_x) != (y == to_y)  # nor is any point there twice
        turns[min(y, to_y) : max(y, to_y), x] += np.sign(y - to_y)
    return turns.cumsum(1)[:, :-1]


def speckled(seed, shape, share):
    return (np.random.default_rng(seed).random(shape) > share).astype(np.uint8)


@pytest.mark.parametrize(
    "mask",
    [
        *(rough_mask(seed) for seed in range(4)),
        *(speckled(seed, (31, 45), share) for seed, share in enumerate((0.05, 0.2, 0.4, 0.6))),
        np.pad(np.tile([[0, 1], [1, 1]], (9, 7)), 2, constant_values=1).astype(np.uint8),
    ],
)
def test_polygons_drawn_are_exactly_the_objects_pixels(mask):
    seen = np.zeros(mask.shape, int)
    for index, area, polygons in polygons_of(mask, [0, 1, 2]):
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *mask.shape))
        drawn = coco_mask.decode(runs) > 0
        assert drawn.sum() == area
        assert (mask[drawn] == index).all()
        seen += drawn
        np.testing.assert_array_equal(sum(windings(one, mask.shape) for one in polygons), drawn)
    assert (seen == 1).all()


def test_a_megapixel_of_specks_is_one_polygon_that_is_exact():
    """With 28,000 holes: who looks at all points for each of them does not come to an end."""
    mask = speckled(0, (1000, 1000), 0.03)
    ((_, area, polygons),) = polygons_of(mask, [1])
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *mask.shape)))
    assert area == mask.sum()
    np.testing.assert_array_equal(drawn, mask)


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/one.jpg", "a/two.png", "b/one.jpg"):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 53, 3)).astype(np.uint8)).save(path)
    return find_pictures([str(tmp_path / "new")], "")


def candidates(files, numbers):
    return [
        Candidate(file, margin, flip, np.array(features, np.float32))
        for file, (margin, flip, features) in zip(files, numbers, strict=True)
    ]


@pytest.fixture
def chosen(pictures):
    return candidates(pictures, [(0.5, 0.25, [0.0]), (0.25, 0.0, [1.0]), (0.125, 0.0, [2.0])])


MASKS = [rough_mask(seed) for seed in range(3)]


def came_back(folder, **form):
    """Picture's name -> raw mask, as the chain reads them."""
    source = mask_source(FolderConfig(images=f"{folder}/images", **form))
    matched = source.match()
    assert not matched.without_mask and not matched.without_picture
    found = {}
    for pair in matched.pairs:
        content, problem = source.read(pair)
        assert not problem
        found[pair.name] = np.asarray(Image.open(io.BytesIO(content)))
    return found, source.names


def raw(mask):
    return np.array(list(CLASSES.values.values()))[mask]


def test_as_coco_it_comes_back_as_it_went(chosen, tmp_path):
    out = tmp_path / "round-2"
    handout.hand_out(chosen, MASKS, CLASSES, str(out), "coco")
    found, names = came_back(out, annotations=(str(out / "annotations.json"),))
    assert {1: "pet", 3: "border"}.items() <= names.items()
    for one, mask in zip(chosen, MASKS, strict=True):
        name = one.file.output + one.file.path[-4:]
        np.testing.assert_array_equal(found[name], raw(mask))
        assert (out / "images" / name).read_bytes() == Path(one.file.path).read_bytes()
    assert (out / "pictures.txt").read_text().split() == list(found)
    with (out / "chosen.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["uncertainty"]) for row in rows] == [0.75, 0.25, 0.125]


def as_label_studio_exports(content):
    """What Label Studio has made of it when nobody has changed anything.

    label_studio_sdk 2.1.2: converter/imports/coco.py has points in per cent, and each polygon as
    a region of its own; converter/converter.py, convert_to_coco, numbers the labels from 0, as
    they are sorted, and writes each region as an annotation.
    """
    labels = sorted(one["name"] for one in content["categories"])
    names = {one["id"]: one["name"] for one in content["categories"]}
    sizes = {one["id"]: (one["width"], one["height"]) for one in content["images"]}
    annotations = []
    for one in content["annotations"]:
        size = sizes[one["image_id"]]
        for polygon in one["segmentation"]:
            per_cent = [value / size[at % 2] * 100.0 for at, value in enumerate(polygon)]
            points = [value / 100 * size[at % 2] for at, value in enumerate(per_cent)]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": one["image_id"] - 1,
                    "category_id": labels.index(names[one["category_id"]]),
                    "segmentation": [points],
                    "bbox": [0, 0, 1, 1],
                    "ignore": 0,
                    "iscrowd": 0,
                    "area": 1.0,
                }
            )
    images = [
        {**one, "id": one["id"] - 1, "file_name": f"images/{one['file_name'].split('/')[-1]}"}
        for one in content["images"]
    ]
    categories = [{"id": at, "name": name} for at, name in enumerate(labels)]
    return {"images": images, "categories": categories, "annotations": annotations, "info": {}}


def test_by_way_of_label_studio_it_comes_back_by_its_names(chosen, tmp_path):
    out = tmp_path / "round-2"
    handout.hand_out(chosen[:2], MASKS[:2], CLASSES, str(out), "coco")
    exported = out / "result.json"
    content = json.loads((out / "annotations.json").read_text())
    exported.write_text(json.dumps(as_label_studio_exports(content)))
    found, names = came_back(out, annotations=(str(exported),))
    values = {name: value for value, name in names.items()}
    assert set(values) == {"pet", "border"}
    for (name, back), mask in zip(sorted(found.items()), MASKS, strict=False):
        for index, label in ((1, "pet"), (2, "border")):
            np.testing.assert_array_equal(back == values[label], mask == index, err_msg=name)


def test_as_masks_it_is_vocs_folder_and_comes_back_by_its_colours(chosen, tmp_path):
    out = tmp_path / "round-2"
    handout.hand_out(chosen, MASKS, CLASSES, str(out), "masks")
    told = [line.split(":") for line in (out / "labelmap.txt").read_text().splitlines()[1:]]
    colors = {name: [int(part) for part in color.split(",")] for name, color, _, _ in told}
    assert list(colors.values()) == palette.class_colors(3)[:3].tolist()
    listed = (out / "ImageSets" / "Segmentation" / "default.txt").read_text().split()
    assert listed == ["a/one", "a/two", "b/one"]
    by_value = {CLASSES.values[name]: tuple(color) for name, color in colors.items()}
    source = mask_source(
        FolderConfig(images=f"{out}/images", masks=f"{out}/SegmentationClass", colors=by_value)
    )
    for pair, mask in zip(source.match().pairs, MASKS, strict=True):
        content, problem = source.read(pair)
        assert not problem
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), raw(mask))


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_round_is_there_whole_or_not_at_all_and_can_be_tried_again(chosen, tmp_path):
    out = tmp_path / "rounds" / "two"

    def masks_of_a_model_that_fails():
        yield MASKS[0]
        raise RuntimeError("no memory")

    def hand_out(masks):
        with handout.new_folder(f"{out}/") as folder:
            handout.hand_out(chosen, masks, CLASSES, folder, "masks")

    with pytest.raises(RuntimeError, match="no memory"):
        hand_out(masks_of_a_model_that_fails())
    assert not files_below(tmp_path / "rounds") and not out.exists()
    killed = tmp_path / "rounds" / "two.partial" / "images" / "old.jpg"
    killed.parent.mkdir(parents=True)
    killed.touch()
    out.mkdir()
    hand_out(MASKS)
    found = files_below(tmp_path / "rounds")
    assert len(found) == 3 + 3 + 4 and all(name.startswith("two/") for name in found)
    assert "two/images/old.jpg" not in found


def test_a_folder_of_before_is_refused_before_anything_is_done(tmp_path):
    (tmp_path / "own.txt").touch()
    refused = {
        tmp_path: "is there already; name a new folder",
        tmp_path / "own.txt": "is there already; name a new folder",
        tmp_path / "own.txt" / "round": "can't be written: Not a directory",
    }
    for out, message in refused.items():
        with pytest.raises(UserError, match=message), handout.new_folder(str(out)):
            pytest.fail("it was done")
    assert files_below(tmp_path) == ["own.txt"]


def test_of_two_calls_for_one_folder_the_second_is_refused_and_the_first_goes_on(tmp_path):
    out = tmp_path / "round-2"
    with handout.new_folder(str(out)) as folder:
        Path(folder, "one.txt").touch()
        with (
            pytest.raises(UserError, match="another call is writing .*round-2; name another"),
            handout.new_folder(str(out)),
        ):
            pytest.fail("it was let in")
        Path(folder, "two.txt").touch()
    assert files_below(tmp_path) == ["round-2/one.txt", "round-2/two.txt"]


@pytest.mark.parametrize("when", ["before it is copied", "before its mask is made"])
def test_a_picture_that_is_gone_is_named_and_not_the_folder(chosen, tmp_path, when):
    lost = Path(chosen[1].file.path)
    model = types.SimpleNamespace(
        pictures=PictureSettings(),
        bands=None,
        predict=lambda encoded: [types.SimpleNamespace(mask=MASKS[0])],
    )

    def masks():
        lost.unlink()
        for prediction in predict(model, chosen):
            yield prediction.mask

    made = masks()
    if when == "before it is copied":
        lost.unlink()
        made = iter(MASKS)
    with pytest.raises(UserError) as error, handout.new_folder(str(tmp_path / "out")) as folder:
        handout.hand_out(chosen, made, CLASSES, folder, "coco")
    assert f"{lost} was chosen, and can't be read any more: No such file" in str(error.value)
    assert "--out" not in str(error.value)


def test_the_class_without_polygons():
    assert handout.left_blank(CLASSES) == "road"
    pets = schema.ClassTable(values={"pet": 1, "background": 2})
    assert handout.left_blank(pets) == "background"
    assert handout.left_blank(schema.ClassTable(values={"pet": 1, "tail": 2})) is None


def test_choice_is_of_the_least_sure_and_of_these_the_most_different(pictures):
    files = [pictures[0]] * 8
    numbers = [
        (0.9, 0.0, [0.0, 0.0]),  # the least sure, but like what is labelled
        (0.8, 0.0, [5.0, 0.0]),
        (0.7, 0.0, [5.1, 0.0]),  # like the one before
        (0.6, 0.0, [0.0, 3.0]),
        (0.5, 0.05, [4.9, 0.0]),
        (0.4, 0.0, [1.0, 0.0]),
        (0.3, 0.0, [99.0, 99.0]),  # the farthest, but the model is sure of it
        (0.2, 0.0, [0.0, 50.0]),
    ]
    found = choose(candidates(files, numbers), 2, np.zeros((1, 2)))
    assert [one.margin for one in found] == [0.7, 0.6]
