"""Which pieces a raster is cut into; what is told of what is in it."""

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from geotiffs import write_raster
from PIL import Image
from rasterio.enums import Resampling

from components.common import picture_formats
from components.common.bands import BandsConfig, from_npy
from components.common.model_card import RequestLimits
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings
from components.common.served_model import Prediction
from components.common.windows import TilesConfig, spans
from components.predictor import raster_batch
from components.predictor.batch import FoundFile
from components.predictor.files import predict_files
from components.predictor.picture_files import PictureFile
from components.predictor.raster_pieces import mask_target, pieces_of
from components.predictor.raster_reader import RasterReader, opened
from components.predictor.rasters import predict_raster

LIMITS = RequestLimits(64, 100)  # a request's defaults


def windows(side, scale=1.0, overlap=None):
    tiles = TilesConfig(scale=scale, overlap=overlap)
    return PictureFit(image_size=(side, side), fit="tiles", tiles=tiles)


def pieces_and_pixels(fit, shape, bands=None, limits=LIMITS):
    """The pieces, of which each pixel is kept once; and the pixels of the largest."""
    kept, most = np.zeros(shape, np.uint8), 0
    pieces = pieces_of(fit, *shape, bands, limits)
    for rows, columns in pieces:
        most = max(most, (rows.end - rows.begin) * (columns.end - columns.begin))
        kept[rows.keep_from : rows.keep_to, columns.keep_from : columns.keep_to] += 1
    assert (kept == 1).all()
    return pieces, most


@pytest.mark.parametrize(
    ("side", "scale", "count", "depth"),
    [
        (128, 1, 4, "uint16"),
        (128, 1, 13, "float32"),
        (128, 1, 200, "int16"),
        (256, 1, 100, "uint16"),
        (512, 1, 12, "float32"),
        (1024, 0.5, 4, "uint8"),
    ],
)
def test_pieces_of_many_bands_are_no_more_than_a_request_may_have(side, scale, count, depth):
    bands = BandsConfig(count=count, depth=depth)
    _, pixels = pieces_and_pixels(windows(side, scale), (5000, 4321), bands)
    assert pixels * count * np.dtype(depth).itemsize + 128 <= 64 * 10**6


@pytest.mark.parametrize("side", [512, 1024])
@pytest.mark.parametrize("megapixels", [2, 4, 100])
def test_pieces_have_no_more_pixels_than_a_request_may_have(side, megapixels):
    limits = RequestLimits(64, megapixels)
    if side == 1024 and megapixels == 2:
        with pytest.raises(
            OSError, match=r"3\.9 megapixels, trainer\.serving\.max_megapixels is 2"
        ):
            pieces_of(windows(side), 5000, 4321, None, limits)
        return
    _, pixels = pieces_and_pixels(windows(side), (5000, 4321), limits=limits)
    assert pixels <= megapixels * 10**6


def test_noise_as_a_png_is_no_more_than_a_request_may_have(tmp_path, monkeypatch):
    """Windows of 2,048 pixels: three at a time would be 5,120 on each side."""
    pieces, pixels = pieces_and_pixels(windows(1024, 0.5), (6000, 6000))
    noise = np.random.default_rng(0).bytes(3 * 2**20)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (1024, 1024), noise).save(buffer, "PNG", compress_level=1)
    assert len(buffer.getvalue()) / 2**20 * pixels <= 64 * 10**6
    assert len(pieces) == 9


def test_where_not_even_the_smallest_pieces_go_into_a_request_the_setting_is_named():
    bands = BandsConfig(count=224, depth="uint16")
    with pytest.raises(OSError, match="448x448 pixels: 89.9 MB, .*max_megabytes is 64: 90 would"):
        pieces_of(windows(256), 5000, 5000, bands, LIMITS)
    assert pieces_of(windows(256), 400, 300, bands, LIMITS)  # that are smaller themselves
    with pytest.raises(OSError, match=r"serving\.max_megapixels is 100: \d+ would do; raise that"):
        pieces_of(windows(2048, 0.25), 40000, 40000, None, LIMITS)
    assert pieces_of(windows(2048, 0.25), 40000, 40000)  # (an export has no limit)


@pytest.mark.parametrize("overlap", [0, 1, 8, 16, 20, 31])
@pytest.mark.parametrize("most", [0, 32, 50, 80, 200])
def test_a_piece_has_all_windows_that_see_what_it_keeps(overlap, most):
    """Held against each pixel's own windows, for sides of all lengths."""
    window = 32
    for length in range(1, 230, 3):
        begins = [*range(0, max(length - window, 0), window - overlap), max(length - window, 0)]
        found = spans(length, window, overlap, most)
        assert [one.keep_from for one in found] == [0, *(one.keep_to for one in found[:-1])]
        assert found[-1].keep_to == found[-1].end == length
        for one in found:
            assert one.keep_from < one.keep_to
            sees = [
                begin
                for begin in begins
                if begin < one.keep_to and min(begin + window, length) > one.keep_from
            ]
            assert one.begin == min(sees) and one.end == min(max(sees) + window, length)
            assert one.end - one.begin <= max(most, 2 * window)


@pytest.fixture
def scene():
    """Noise, uint8 [height, width, 4]; the fourth band is 0 at 17 pixels."""
    pixels = np.random.default_rng(0).integers(1, 255, (60, 80, 4)).astype(np.uint8)
    pixels[5, :17, 3] = 0
    return pixels


def test_how_much_is_no_data_is_told_and_by_what(model, scene, tmp_path):
    tagged = write_raster(tmp_path / "tagged.tif", scene, photometric="RGB", alpha="YES")
    (note,) = predict_raster(model, tagged, str(tmp_path / "tagged")).notes
    assert note.startswith("band 4 is tagged alpha: 17 pixels (0.35%) count as no data; ")
    assert note.endswith("gdal_translate -b 1 -b 2 -b 3")
    scene[scene[..., 3] == 0] = 0
    marked = write_raster(tmp_path / "marked.tif", scene[..., :3], nodata=0)
    (note,) = predict_raster(model, marked, str(tmp_path / "marked")).notes
    assert note == "17 pixels (0.35%) count as no data, as the file's nodata value or mask says"
    whole = write_raster(tmp_path / "whole.tif", np.full((60, 80, 3), 7, np.uint8))
    assert not predict_raster(model, whole, str(tmp_path / "whole")).notes


def test_bands_that_the_model_does_not_know_are_told_with_a_way_out(model, scene, tmp_path):
    path = write_raster(tmp_path / "scene.tif", scene, photometric="MINISBLACK")
    with pytest.raises(OSError, match="4 bands, and a model sees three.*-b 1 -b 2 -b 3"):
        predict_raster(model, path, str(tmp_path / "scene"))


def test_what_can_not_be_read_or_written_is_told_with_gdals_reason(model, scene, tmp_path):
    path = Path(write_raster(tmp_path / "scene.tif", scene[..., :3], compress="deflate"))
    with (
        opened(str(path)) as source,
        pytest.raises(OSError, match="^its mask can't be written: .*No such file or directory"),
        mask_target(str(tmp_path / "nowhere/mask.tif"), source, 2),
    ):
        pass
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(OSError, match=r"^it can't be read as a raster: .*got \d+ bytes, expected"):
        predict_raster(model, str(path), str(tmp_path / "scene"))


def test_a_files_own_reduced_pictures_may_go_beyond_the_range_of_its_values(model, tmp_path):
    """Cubic ones overshoot at edges: the overlay is brought back into the range."""
    blocks = np.random.default_rng(0).integers(0, 2, (1650, 150)).astype(np.uint16)
    pixels = np.kron(blocks, np.full((2, 2), 4095, np.uint16))
    path = write_raster(tmp_path / "scene.tif", pixels, tiled=True, compress="deflate")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], Resampling.cubic)
    with rasterio.open(path, OVERVIEW_LEVEL=0) as reduced:
        assert reduced.read().max() > 4095
    found = predict_raster(model, path, str(tmp_path / "scene"))
    assert [note for note in found.notes if "12 bits" not in note] == []
    with Image.open(found.overlay) as overlay:
        assert max(overlay.size) == 1600
    np.testing.assert_array_equal(tifffile.imread(found.mask), pixels > 2047)
    settings = PictureSettings(value_range=(0, 4095))
    with opened(path) as source:
        shown = RasterReader(source, settings, None, []).overview()
    assert shown.min() == 0 and shown.max() == 255


def test_a_mask_is_kept_where_overlay_or_objects_can_not_be_made(model, scene, tmp_path):
    path = write_raster(tmp_path / "scene.tif", scene[..., :3])
    for name in ("out_overlay.jpg", "out_objects.geojson"):
        (tmp_path / name).mkdir()  # what no file can be written to
    found = predict_raster(model, path, str(tmp_path / "out"), [1])
    bright = scene[..., :3].mean(axis=-1) > 127.5
    np.testing.assert_array_equal(tifffile.imread(found.mask), bright)
    assert found.shares[1] == pytest.approx(bright.mean(), abs=1e-6) and not found.objects
    assert found.overlay == ""
    objects, overlay = found.notes
    assert objects.startswith("its objects can't be told: ") and "Is a directory" in objects
    assert overlay.startswith("its overlay can't be made: ") and "Is a directory" in overlay
    names = {name.name for name in tmp_path.iterdir()}
    assert names == {"scene.tif", "out_mask.tif", "out_overlay.jpg", "out_objects.geojson"}


class OfWindows:
    """The model whose answers are known, as one that sees windows and takes less at a time."""

    def __init__(self, model, fit, limits):
        self._model, self.fit, self.limits, self.seen = model, fit, limits, []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def predict_each(self, batch):
        self.seen += [picture_formats.pixels_of(one) for one in batch]
        return self._model.predict_each(batch)


def test_a_raster_is_cut_as_the_model_takes_it(model, tmp_path):
    """Of windows of 512 pixels three at a time would be 1.6 megapixels."""
    pixels = np.random.default_rng(1).integers(0, 255, (1400, 1500, 3)).astype(np.uint8)
    path = write_raster(tmp_path / "scene.tif", pixels)
    small = OfWindows(model, windows(512), RequestLimits(64, 1))
    found = predict_raster(small, path, str(tmp_path / "out"))
    assert len(small.seen) > 1 and max(small.seen) <= 10**6
    np.testing.assert_array_equal(tifffile.imread(found.mask), pixels.mean(axis=-1) > 127.5)
    smaller = OfWindows(model, windows(1024), RequestLimits(64, 1))
    with pytest.raises(OSError, match=r"max_megapixels is 1: 3 would do; raise that, or take"):
        predict_raster(smaller, path, str(tmp_path / "out"))
    whole = OfWindows(model, PictureFit(), RequestLimits(64, 2))
    with pytest.raises(OSError, match=r"1500x1400 pixels: 2\.1 megapixels, .*is 2: 3 would do"):
        predict_raster(whole, path, str(tmp_path / "out"))


class OfBands:
    """Bright pixels are `light`, of any bands; more than its limits it does not take."""

    def __init__(self, model, fit, bands, limits):
        self.classes, self.pictures = model.classes, model.pictures
        self.fit, self.bands, self.limits = fit, bands, limits

    def predict_each(self, batch):
        return [self._predicted(one) for one in batch]

    def _predicted(self, npy):
        if len(npy) > self.limits.max_megabytes * 10**6:
            return "the batch has more"
        light = from_npy(npy).mean(axis=-1) > self.bands.largest / 2
        png = io.BytesIO()
        Image.fromarray(light.astype(np.uint8)).save(png, "PNG")
        return Prediction(png.getvalue(), 1.0)


def test_a_tiff_of_many_bands_without_a_place_is_cut_from_the_requests_limit_on(model, tmp_path):
    """Of 600x400 pixels 1.92 MB; where a model sees all at once the limit is named."""
    bands, limits = BandsConfig(count=4, depth="uint16"), RequestLimits(1, 100)
    pixels = np.random.default_rng(2).integers(0, 65536, (600, 400, 4)).astype(np.uint16)
    described = {"photometric": "minisblack", "extrasamples": [0, 0, 0]}
    tifffile.imwrite(tmp_path / "large.tif", pixels, **described)
    tifffile.imwrite(tmp_path / "small.tif", pixels[:200], **described)
    files = [PictureFile(str(tmp_path / f"{name}.tif"), name) for name in ("large", "small")]
    for fit in (windows(128), PictureFit()):
        asked = OfBands(model, fit, bands, limits)
        small, large = predict_files(asked, files, str(tmp_path / "out"), 2)
        assert small.mask.endswith("small_mask.png") and not small.error
        if fit.fit == "tiles":
            light = pixels.mean(axis=-1) > 65535 / 2
            np.testing.assert_array_equal(tifffile.imread(large.mask), light)
            assert large.size == (400, 600)
        else:
            told = "400x600 pixels: 1.9 MB, trainer.serving.max_megabytes is 1: 2 would do; raise"
            assert large.error.startswith(told)
    for file, kind in zip(files, ("raster", "picture"), strict=True):
        found = raster_batch._by_kind(FoundFile(file.path, file.output), 1_000_000 // 8)
        assert [one.tag for one in found] == [kind]


def test_two_runs_into_one_folder_do_not_write_into_each_others_files(model, scene, tmp_path):
    """The second begins and ends while the first is in its only piece."""
    paths = [
        write_raster(tmp_path / f"{number}.tif", 50 * number + scene[..., :3] // 2)
        for number in range(2)
    ]
    base = str(tmp_path / "out/scene")

    class Interrupted:
        def __getattr__(self, name):
            return getattr(model, name)

        def predict_each(self, batch):
            found = predict_raster(model, paths[1], base)
            np.testing.assert_array_equal(tifffile.imread(found.mask), light(1))
            return model.predict_each(batch)

    def light(number):
        return (50 * number + scene[..., :3] // 2).mean(axis=-1) > 127.5

    found = predict_raster(Interrupted(), paths[0], base)
    np.testing.assert_array_equal(tifffile.imread(found.mask), light(0))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"scene_mask.tif", "scene_overlay.jpg"}
