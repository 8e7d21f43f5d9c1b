"""GeoTIFFs as training data: a mask that lies elsewhere than its picture is none of it."""

import io

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from components.common import schema
from components.datasets.config import FolderConfig, MaskValuesConfig
from components.datasets.raster_place import place_of
from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from components.example_gen import dataset
from components.example_gen.config import DatasetConfig

SIZE = (24, 40)  # height, width
NORTH_UP = Affine(0.5, 0, 691000, 0, -0.5, 5334000)
TURNED = Affine.translation(691000, 5334000) @ Affine.rotation(30) @ Affine.scale(2, -2)
OWN = "+proj=laea +lat_0={} +lon_0=11 +datum=WGS84 +units=m"
UTM = {"crs": "EPSG:32632", "transform": NORTH_UP}

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path, pixels, tags=(), **place):
    """As GDAL does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.update_tags(**dict(tags))
        file.write(bands)
    return str(path)


def moved(right, down=0, transform=NORTH_UP):
    """By pixels."""
    return transform @ Affine.translation(right, down)


def problem_of(root, of_picture, of_mask, mask_size=SIZE, tags=(), **values):
    """What is said of a pair with these places; its mask must be as it is, where nothing is."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, mask_size).astype(np.uint8)
    write(
        root / "images/scene.tif", rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8), **of_picture
    )
    write(root / "masks/scene_mask.tif", mask, tags, **of_mask)
    config = FolderConfig(
        images=str(root / "images"),
        masks=str(root / "masks"),
        mask_suffix="_mask",
        mask_values=MaskValuesConfig(**values),
    )
    source = mask_source(config)
    (pair,) = source.match().pairs
    found = read_pair(pair, source, config)
    if not found.problem and mask_size == SIZE:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found.mask))), mask)
    return found.problem


@pytest.mark.parametrize(
    "place",
    [
        UTM,
        {"crs": "EPSG:32632", "transform": TURNED},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 11, 0, -1e-5, 48)},
        {"crs": "EPSG:32733", "transform": Affine(5, 0, 500000, 0, 5, 6200000)},
        {"crs": OWN.format(48), "transform": NORTH_UP},
        {"transform": NORTH_UP},
    ],
)
@pytest.mark.parametrize("kind", ["Area", "Point"])
def test_a_place_is_what_gdal_reads(tmp_path, place, kind):
    """A place that is told by the pixels' centres too."""
    path = write(tmp_path / "x.tif", np.zeros(SIZE, np.uint8), {"AREA_OR_POINT": kind}, **place)
    found = place_of(path)
    with rasterio.open(path) as file:
        assert file.tags().get("AREA_OR_POINT", "Area") == kind
        np.testing.assert_allclose(found.matrix.ravel(), file.transform[:6], rtol=1e-12)
        code = file.crs.to_epsg() if file.crs else None
    assert found.code == code and found.size == SIZE[::-1]


def test_files_that_have_no_place(tmp_path):
    pixels = np.zeros(SIZE, np.uint8)
    points = [GroundControlPoint(row, row, 11 + row, 48) for row in (0.0, 9.0, 20.0)]
    files = [
        write(tmp_path / "none.tif", pixels),
        write(tmp_path / "points.tif", pixels, crs="EPSG:4326", gcps=points),
        str(tmp_path / "text.tif"),
        str(tmp_path / "picture.png"),
        str(tmp_path / "missing.tif"),
    ]
    (tmp_path / "text.tif").write_text("no picture")
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    assert [place_of(path) for path in files] == [None] * 5


@pytest.mark.parametrize(
    ("of_picture", "of_mask"),
    [
        (UTM, UTM),
        (UTM, {"crs": "EPSG:32632", "transform": moved(0.4, -0.4)}),
        (UTM, {"transform": NORTH_UP}),
        (UTM, {"crs": "EPSG:32633"}),
        (UTM, {}),
        ({}, UTM),
        ({}, {}),
        (
            {"crs": OWN.format(48), "transform": TURNED},
            {"crs": OWN.format(48), "transform": TURNED},
        ),
        # By its code here, by its parameters there: tags don't tell whether it is the same.
        (UTM, {"crs": "+proj=utm +zone=32 +datum=WGS84", "transform": NORTH_UP}),
    ],
)
def test_the_same_place_or_none_is_a_pair_as_ever(tmp_path, of_picture, of_mask):
    assert problem_of(tmp_path, of_picture, of_mask) == ""
    assert problem_of(tmp_path, of_picture, of_mask, tags={"AREA_OR_POINT": "Point"}) == ""


@pytest.mark.parametrize(
    ("of_picture", "of_mask", "told"),
    [
        (UTM, UTM | {"crs": "EPSG:32633"}, "the picture is in EPSG:32632, the mask in EPSG:32633"),
        (UTM, UTM | {"crs": "EPSG:4326"}, "the picture is in EPSG:32632, the mask in EPSG:4326"),
        (
            {"crs": OWN.format(48), "transform": TURNED},
            {"crs": OWN.format(49), "transform": TURNED},
            "their projections differ",
        ),
        (UTM, UTM | {"transform": moved(0.6)}, "off by 0.6 pixels to the right and 0 downwards"),
        (UTM, UTM | {"transform": moved(-3, 7)}, "off by -3 pixels to the right and 7 downwards"),
        ({"transform": NORTH_UP}, {"transform": moved(1)}, "off by 1 pixels to the right"),
        (UTM, UTM | {"transform": TURNED}, "the mask is off by "),
        (
            {"crs": "EPSG:32632", "transform": TURNED},
            {"crs": "EPSG:32632", "transform": moved(0, 2, TURNED)},
            "off by 0 pixels to the right and 2 downwards",
        ),
        # The pixels of a mask of the same size are twice as large.
        (UTM, UTM | {"transform": NORTH_UP @ Affine.scale(2)}, "off by 40 pixels to the right"),
    ],
)
def test_another_place_is_told_with_both_files(tmp_path, of_picture, of_mask, told):
    problem = problem_of(tmp_path, of_picture, of_mask)
    assert (
        problem.startswith("masks/scene_mask.tif is no mask of images/scene.tif: ")
        and told in problem
    )
    assert "gdalwarp" in problem and "\n" not in problem


def test_masks_of_another_size(tmp_path):
    """Cut or continued ones share the first corner, those of another resolution the extent."""
    half = {"crs": "EPSG:32632", "transform": NORTH_UP @ Affine.scale(2)}
    smaller = (SIZE[0] // 2, SIZE[1] // 2)
    assert problem_of(tmp_path / "a", UTM, half, smaller, resized=True) == ""
    assert "off by -20 pixels" in problem_of(tmp_path / "b", UTM, UTM, smaller, resized=True)
    off = half | {"transform": moved(1.5) @ Affine.scale(2)}
    assert "off by 1.5 pixels" in problem_of(tmp_path / "c", UTM, off, smaller, resized=True)
    nearly = half | {"transform": moved(0.9) @ Affine.scale(2)}  # less than half of the mask's
    assert problem_of(tmp_path / "d", UTM, nearly, smaller, resized=True) == ""
    longer = (SIZE[0], SIZE[1] + 2)
    assert problem_of(tmp_path / "e", UTM, UTM, longer, size_tolerance=2) == ""
    away = UTM | {"transform": moved(-2)}
    assert "off by -2 pixels" in problem_of(tmp_path / "f", UTM, away, longer, size_tolerance=2)


def test_such_a_pair_is_set_aside_by_the_run(tmp_path):
    """The others are examples as ever."""
    rng = np.random.default_rng(0)
    for number in range(30):
        place = UTM | {"transform": moved(100 * number)}
        pixels = rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        write(tmp_path / f"images/{number}.tif", pixels, **place)
        place = UTM | {"transform": moved(100 * number + (5 if number == 7 else 0))}
        write(tmp_path / f"masks/{number}.tif", pixels[..., 0] % 2, **place)
    folder = FolderConfig(images=str(tmp_path / "images"), masks=str(tmp_path / "masks"))
    config = DatasetConfig(name="image_folder", folder=folder, data_dir=str(tmp_path / "tfds"))
    builder = dataset.open_dataset(config)
    problems = {
        example["file_name"].decode(): example[schema.PROBLEM].decode()
        for split in schema.SPLITS
        for example in builder.as_dataset(split=split).as_numpy_iterator()
    }
    assert len(problems) == 30
    told = {name: problem for name, problem in problems.items() if problem}
    assert list(told) == ["7.tif"]
    assert told["7.tif"].startswith(
        "masks/7.tif is no mask of images/7.tif: the mask is off by 5 pixels"
    )
