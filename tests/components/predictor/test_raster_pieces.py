"""Which pieces a raster is cut into; what is told of what is in it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from geotiffs import write_raster
from PIL import Image
from rasterio.enums import Resampling

from components.common.bands import BandsConfig
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings
from components.predictor.raster_pieces import RasterReader, mask_target, opened, pieces_of
from components.predictor.rasters import predict_raster

TILES = PictureFit(image_size=(128, 128), fit="tiles")
MEGABYTES = 64  # of a request, by default


@pytest.mark.parametrize(("count", "depth"), [(4, "uint16"), (13, "float32"), (200, "int16")])
def test_pieces_of_many_bands_are_no_more_than_a_request_may_have(count, depth):
    bands = BandsConfig(count=count, depth=depth)
    kept = np.zeros((5000, 4321), np.uint8)
    for rows, columns in pieces_of(TILES, *kept.shape, bands):
        pixels = (rows.end - rows.begin) * (columns.end - columns.begin)
        assert pixels * count * np.dtype(depth).itemsize <= MEGABYTES * 10**6
        kept[rows.keep_from : rows.keep_to, columns.keep_from : columns.keep_to] += 1
    assert (kept == 1).all()


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
