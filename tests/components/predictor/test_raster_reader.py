"""A TIFF is the same pixels to the model as a raster, as a picture and as training data."""

import io

import numpy as np
import pytest
import rasterio
import tifffile
from geotiffs import write_raster
from PIL import Image

from components.common import schema
from components.common.bands import BandsConfig, from_npy
from components.common.picture_fit import PictureFit
from components.common.picture_settings import DEFAULT, PictureSettings
from components.common.served_model import Prediction
from components.datasets.reading import read_image
from components.predictor.files import predict_files
from components.predictor.picture_files import PictureFile, read_picture
from components.predictor.rasters import predict_raster

RNG = np.random.default_rng(0)
SIZE = 24, 40


class Seen:
    """A model that keeps what it is sent, and finds the first class everywhere."""

    limits = None

    def __init__(self, settings=DEFAULT, bands=None):
        self.pictures, self.bands = settings, bands
        self.fit = PictureFit(image_size=(32, 32), fit="tiles")
        self.classes = schema.ClassTable(values={"dark": 0, "light": 1})
        self.pixels = None

    def predict_each(self, batch):
        (encoded,) = batch
        self.pixels = decoded(encoded)
        buffer = io.BytesIO()
        Image.fromarray(np.zeros(self.pixels.shape[:2], np.uint8)).save(buffer, "PNG")
        return [Prediction(buffer.getvalue(), 0.5)]


def decoded(encoded):
    if encoded.startswith(b"\x93NUMPY"):
        return from_npy(encoded)
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def seen(path, settings=DEFAULT, bands=None):
    """What the model sees of a raster, what is told of it, and its mask."""
    model = Seen(settings, bands)
    found = predict_raster(model, path, f"{path}.out")
    return model.pixels, found.notes, tifffile.imread(found.mask)


def all_ways(path, settings=DEFAULT, bands=None):
    """What the model sees of a file as a raster; as a picture and in training it is the same."""
    raster, notes, _ = seen(path, settings, bands)
    with open(path, "rb") as file:
        trained = read_image(file.read(), None, settings, bands)
    picture = read_picture(path, settings, bands)
    for other in (trained.encoded, picture.encoded):
        np.testing.assert_array_equal(decoded(other), raster)
    assert picture.notes == trained.notes == tuple(one for one in notes if "no data" not in one)
    return raster


def noise(bands, kind=np.uint8, top=255):
    return RNG.integers(1, top, (*SIZE, bands)).astype(kind)


NEAR_INFRARED_FIRST = PictureSettings(bands=(4, 1, 2), orientation="upright")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("tag", [{"alpha": "YES"}, {"alpha": "NO"}])
def test_a_fourth_band_that_is_named_is_taken_whatever_its_tag(kind, tag, tmp_path):
    pixels = noise(4, kind)
    pixels[3:9, :, 3] = 0
    path = write_raster(tmp_path / "nir.tif", pixels, photometric="RGB", **tag)
    settings = NEAR_INFRARED_FIRST.model_copy(update={"value_range": (0, 255)})
    np.testing.assert_array_equal(all_ways(path, settings), pixels[..., [3, 0, 1]])
    assert (seen(path, settings)[2] == 0).all()  # and no mask


def test_a_fourth_band_that_is_named_of_a_png_too(tmp_path):
    pixels = noise(4)
    Image.fromarray(pixels).save(tmp_path / "nir.png")
    found = read_picture(str(tmp_path / "nir.png"), NEAR_INFRARED_FIRST)
    np.testing.assert_array_equal(np.asarray(found.image), pixels[..., [3, 0, 1]])


def test_a_band_that_is_named_and_is_not_there_is_told(tmp_path):
    told = r"it has 3 bands, no band 4 \(dataset.folder.pictures.bands\)"
    path = write_raster(tmp_path / "three.tif", noise(3))
    Image.fromarray(noise(3)).save(tmp_path / "three.jpg")
    for read in (seen, read_picture):
        with pytest.raises(OSError, match=told):
            read(path, NEAR_INFRARED_FIRST)
    with pytest.raises(OSError, match=told):
        read_picture(str(tmp_path / "three.jpg"), NEAR_INFRARED_FIRST)
    first_three = PictureSettings(bands=(1, 2, 3))
    grey = write_raster(tmp_path / "grey.tif", noise(1))
    assert all_ways(path, first_three).shape == all_ways(grey, first_three).shape == (*SIZE, 3)


@pytest.mark.parametrize("kind", ["complex_int16", "complex64"])
def test_complex_values_are_an_error_of_that_file_alone(kind, tmp_path):
    shape = {"count": 1, "height": 9, "width": 9, "dtype": kind, "crs": "EPSG:32632"}
    place = rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)
    with rasterio.open(tmp_path / "slc.tif", "w", **shape, transform=place) as file:
        file.write(np.ones((1, 9, 9), np.complex64))
    write_raster(tmp_path / "rgb.tif", noise(3))
    files = [PictureFile(str(tmp_path / f"{name}.tif"), name) for name in ("slc", "rgb")]
    radar, other = predict_files(Seen(), files, str(tmp_path / "out"), 1)
    assert radar.error.startswith(f"its values are complex ({kind})")
    assert not other.error and other.mask


def test_the_range_of_values_is_that_of_the_bands_that_are_taken(tmp_path):
    pixels = noise(4, np.uint16, 4000)
    pixels[..., 3] = 30000
    path = write_raster(tmp_path / "nir.tif", pixels, photometric="MINISBLACK")
    found = all_ways(path, PictureSettings(bands=(1, 2, 3)))
    np.testing.assert_array_equal(found, pixels[..., :3] >> 4)  # of 12 bits


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("photometric", ["MINISBLACK", "MINISWHITE"])
def test_greys_of_all_depths_and_both_ways_round(photometric, bits, tmp_path):
    top = (1 << bits) - 1
    grey = RNG.integers(0, top + 1, SIZE).astype(np.uint8 if bits <= 8 else np.uint16)
    grey[0, :2] = 0, top
    depth = {"nbits": bits} if bits not in (8, 16) else {}
    path = write_raster(tmp_path / "grey.tif", grey, photometric=photometric, **depth)
    found = all_ways(path)[..., 0]
    stored = top - grey if photometric == "MINISWHITE" else grey
    np.testing.assert_array_equal(found, stored >> bits - 8 if bits > 8 else stored * (255 // top))


HEIGHTS = BandsConfig(count=1, depth="int16")


@pytest.mark.parametrize(
    ("kind", "count", "nodata", "settings", "bands"),
    [
        (np.uint8, 3, 255, PictureSettings(), None),
        (np.uint16, 3, 0, PictureSettings(value_range=(0, 4095)), None),
        (np.int16, 1, -9999, PictureSettings(), HEIGHTS),
    ],
)
def test_what_is_stored_where_there_is_no_data_is_seen_as_in_training(
    kind, count, nodata, settings, bands, tmp_path
):
    pixels = noise(count, kind)
    pixels[:7, :11] = nodata
    path = write_raster(tmp_path / "frame.tif", pixels, nodata=nodata)
    all_ways(path, settings, bands)
    expected = np.zeros(SIZE)
    expected[:7, :11] = 255
    np.testing.assert_array_equal(seen(path, settings, bands)[2], expected)


def test_colours_behind_an_alpha_of_0_are_seen_as_in_training(tmp_path):
    pixels = noise(4)
    pixels[:7, :, 3] = 0
    path = write_raster(tmp_path / "frame.tif", pixels, photometric="RGB", alpha="YES")
    np.testing.assert_array_equal(all_ways(path), pixels[..., :3])
    assert (seen(path)[2][:7] == 255).all()


@pytest.mark.parametrize("nodata", [-9999, np.nan])
def test_what_has_no_data_in_a_band_that_is_taken_has_none(nodata, tmp_path):
    pixels = noise(3).astype(np.float32)
    pixels[:5, :, 0] = nodata
    pixels[9:, 4, 2] = nodata
    path = write_raster(tmp_path / "part.tif", pixels, nodata=nodata)
    expected = np.zeros(SIZE)
    expected[:5] = 255
    first_two = BandsConfig(count=3, depth="float32", take=(1, 2))
    _, (note,), mask = seen(path, bands=first_two)
    np.testing.assert_array_equal(mask, expected)
    assert note.startswith("200 pixels (20.83%) count as no data")
    expected[9:, 4] = 255
    mask = seen(path, bands=BandsConfig(count=3, depth="float32"))[2]
    np.testing.assert_array_equal(mask, expected)


def test_a_dark_pixel_is_data_where_0_means_none_in_all_bands(tmp_path):
    pixels = noise(3)
    pixels[:5, :, 0] = 0
    pixels[9:, 4] = 0
    expected = np.zeros(SIZE)
    expected[9:, 4] = 255
    path = write_raster(tmp_path / "dark.tif", pixels, nodata=0)
    np.testing.assert_array_equal(seen(path)[2], expected)


def turned_tag(orientation):
    return {"extratags": [(274, "H", 1, orientation, True)]}


def test_a_raster_that_is_to_be_turned_is_refused_unless_training_did_not_turn(tmp_path):
    path = str(tmp_path / "lying.tif")
    pixels = noise(3)
    place = [(33550, "d", 3, (1, 1, 0), True), (33922, "d", 6, (0, 0, 0, 5e5, 5e6, 0), True)]
    tags = {"extratags": turned_tag(6)["extratags"] + place}
    tifffile.imwrite(path, pixels, photometric="rgb", **tags)
    with pytest.raises(OSError, match=r"its Orientation tag \(6\) says to turn it"):
        seen(path)
    found = all_ways(path, PictureSettings(orientation="as_stored"))
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_that_only_tifffile_reads_is_turned_too(orientation, tmp_path):
    pixels = noise(4, np.uint16)
    kind = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "lying.tif", pixels, **kind, **turned_tag(orientation))
    bands = BandsConfig(count=4, depth="uint16")
    found = read_picture(str(tmp_path / "lying.tif"), bands=bands)
    turns = {3: 2, 6: -1}[orientation]
    np.testing.assert_array_equal(decoded(found.encoded), np.rot90(pixels, turns))


def test_several_pages_are_told_and_smaller_copies_are_none(tmp_path):
    pages = str(tmp_path / "pages.tif")
    tifffile.imwrite(pages, noise(4).transpose(2, 0, 1), photometric="minisblack")
    (note,) = seen(pages)[1]
    assert note == "it has 4 pages or frames: the first is taken"
    all_ways(pages)
    copies = write_raster(tmp_path / "copies.tif", noise(3))
    with rasterio.open(copies, "r+") as file:
        file.build_overviews([2, 4])
    all_ways(copies)
    assert not seen(copies)[1]
