import io
import os
import sys

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from geotiffs import write_raster
from PIL import Image

from components.common.bands import BandsConfig, from_npy
from components.common.errors import UserError
from components.common.picture_formats import for_model
from components.common.picture_settings import PictureSettings
from components.predictor.picture_files import find_pictures, read_picture

OUT = "/elsewhere"
PIXELS = np.random.default_rng(0).integers(0, 255, (12, 20, 3)).astype(np.uint8)


def save(path, pixels=PIXELS, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def outputs(files):
    return [file.output for file in files]


def test_folders_are_searched_in_a_stable_order(tmp_path):
    for name in ("b.png", "a.JPG", "deep/er/c.webp", ".hidden.png", ".git/d.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    files = find_pictures([str(tmp_path)], OUT)
    assert outputs(files) == ["a", "b", os.path.join("deep", "er", "c")]
    assert [file.path for file in files][0] == str(tmp_path / "a.JPG")


def test_results_of_an_earlier_call_are_no_input(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "out" / "a_mask.png")
    assert outputs(find_pictures([str(tmp_path)], str(tmp_path / "out"))) == ["a"]


def test_no_two_pictures_share_an_output(tmp_path):
    one, two, three = (save(tmp_path / name) for name in ("x/cat.png", "x/cat.jpg", "y/cat.png"))
    assert outputs(find_pictures([two, one, three], OUT)) == ["cat", "cat_png", "cat_2"]
    folders = [str(tmp_path / "x"), str(tmp_path / "y")]
    assert outputs(find_pictures(folders, OUT)) == ["x/cat", "x/cat_png", "y/cat"]


def test_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder .*nothing.png"):
        find_pictures([str(tmp_path / "nothing.png")], OUT)
    with pytest.raises(UserError, match="no pictures in"):
        find_pictures([str(tmp_path)], OUT)


@pytest.mark.parametrize("name", ["picture.jpg", "picture.png", "picture.gif"])
def test_what_the_model_can_read_stays_as_it_is(tmp_path, name):
    path = save(tmp_path / name)
    with open(path, "rb") as file:
        assert read_picture(path).encoded == file.read()


@pytest.mark.parametrize("name", ["picture.bmp", "picture.tiff", "picture.webp"])
def test_anything_else_becomes_a_png_of_the_same_pixels(tmp_path, name):
    picture = read_picture(save(tmp_path / name, **({"lossless": True} if "webp" in name else {})))
    decoded = Image.open(io.BytesIO(picture.encoded))
    assert decoded.format == "PNG"
    np.testing.assert_array_equal(np.asarray(decoded), PIXELS)
    np.testing.assert_array_equal(np.asarray(picture.image), PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_a_viewer_turns_them(tmp_path, orientation):
    """EXIF's eight orientations, each written out with NumPy."""
    upright = PIXELS
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "phone.png", np.ascontiguousarray(stored), exif=exif)
    picture = read_picture(path)
    np.testing.assert_array_equal(np.asarray(picture.image), upright)
    sent = Image.open(io.BytesIO(picture.encoded))
    np.testing.assert_array_equal(np.asarray(sent.convert("RGB")), upright)


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    deep = (PIXELS[..., 0].astype(np.uint16)) * 257
    image = read_picture(save(tmp_path / "deep.png", deep)).image
    np.testing.assert_allclose(np.asarray(image)[..., 0], PIXELS[..., 0], atol=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "it is no picture"),
        (b"", "it is an empty file"),
        (b"\xff\xd8\xff\xe0", "no picture"),
    ],
)
def test_what_is_no_picture(content, message):
    with pytest.raises(OSError, match=message):
        for_model(content)


def test_a_truncated_picture(tmp_path):
    path = save(tmp_path / "half.jpg")
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: len(content) - 300])
    with pytest.raises(OSError, match="(?i)truncated"):
        read_picture(path)


GREY = np.arange(240, dtype=np.uint16).reshape(12, 20)  # all levels of 8 bits, nearly


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("deep", "note"),
    [
        (GREY * 257, ""),
        (GREY * 16, "taken as 12 bits"),
        (GREY.astype(np.float32) / 255, ""),
        (np.stack([GREY] * 3, -1) * 257, ""),
    ],
)
def test_deep_pictures_in_any_byte_order_and_scale(deep, note, byteorder, tmp_path):
    path = str(tmp_path / "deep.tif")
    tifffile.imwrite(path, deep, byteorder=byteorder)
    picture = read_picture(path)
    found = np.asarray(picture.image)
    np.testing.assert_array_equal(found, np.repeat(GREY.astype(np.uint8)[..., None], 3, -1))
    assert note in " ".join(picture.notes) and bool(picture.notes) == bool(note)


def test_what_a_picture_does_not_tell_is_asked(tmp_path):
    path = str(tmp_path / "odd.tif")
    bands = np.stack([PIXELS[..., 0], *np.moveaxis(PIXELS, -1, 0), PIXELS[..., 2]], -1)
    tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="contig")
    with pytest.raises(OSError, match="5 bands.*dataset.folder.pictures.bands"):
        read_picture(path)
    found = read_picture(path, PictureSettings(bands=(2, 3, 4))).image
    np.testing.assert_array_equal(np.asarray(found), PIXELS)
    tifffile.imwrite(path, GREY.astype(np.float32) - 100)
    with pytest.raises(OSError, match="floats from -100 to 139.*value_range"):
        read_picture(path)
    found = read_picture(path, PictureSettings(value_range=(-100, 155))).image
    np.testing.assert_array_equal(np.asarray(found)[..., 0], GREY)
    with pytest.raises(OSError, match="beyond the value range"):
        read_picture(path, PictureSettings(value_range=(0, 155)))


def test_what_is_of_another_depth_than_the_model_was_trained_with(tmp_path):
    """Of 12 bits: fractions would be black, and are refused; 8 bits stay what they are."""
    twelve = PictureSettings(value_range=(0, 4095))
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    tifffile.imwrite(tmp_path / "float.tif", np.float32(grey / 255))
    with pytest.raises(OSError, match="all black in the value range 0 to 4095"):
        read_picture(str(tmp_path / "float.tif"), twelve)
    bands = np.repeat(grey[..., None], 5, -1)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    for content in (bands, bands.astype(np.uint16) * 16):
        tifffile.imwrite(tmp_path / "bands.tif", content, **options)
        found = read_picture(
            str(tmp_path / "bands.tif"), twelve.model_copy(update={"bands": (1, 2, 3)})
        ).image
        np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, -1))


def test_pages_and_transparency(tmp_path):
    path = str(tmp_path / "stack.tif")
    tifffile.imwrite(path, np.stack([PIXELS, 255 - PIXELS]), photometric="rgb")
    picture = read_picture(path)
    np.testing.assert_array_equal(np.asarray(picture.image), PIXELS)
    assert picture.notes == ("it has 2 pages or frames: the first is taken",)
    path = str(tmp_path / "clear.gif")
    Image.fromarray(PIXELS).quantize(8).save(path, transparency=2)
    picture = read_picture(path)
    seen = tf.io.decode_image(picture.encoded, channels=3, expand_animations=False)
    np.testing.assert_array_equal(seen, np.asarray(picture.image))


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "phone.HEIC"
    pillow_heif.from_pillow(Image.fromarray(PIXELS).resize((64, 64))).save(path, quality=-1)
    assert [file.path for file in find_pictures([str(tmp_path)], OUT)] == [str(path)]
    wanted = np.asarray(Image.fromarray(PIXELS).resize((64, 64)))
    found = np.asarray(read_picture(str(path)).image)
    assert np.abs(found.astype(int) - wanted).mean() < 12  # (it has half of the colour)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(OSError, match="HEIC"):
        read_picture(str(path))


def test_names_that_are_no_text_can_be_written_into_the_table(tmp_path):
    name = os.fsencode(tmp_path) + b"/Gr\xfcn.png"
    with open(name, "wb") as file:
        Image.fromarray(PIXELS).save(file, "PNG")
    (found,) = find_pictures([str(tmp_path)], OUT)
    assert found.output == "Gr\\xfcn" and np.array_equal(read_picture(found.path).image, PIXELS)


@pytest.mark.parametrize("compress", ["lzw", "zstd", "jpeg"])
def test_what_tifffile_has_no_decoder_for_is_read_by_rasterio(compress, monkeypatch, tmp_path):
    pixels = np.repeat(np.repeat(PIXELS, 8, 0), 8, 1)[..., [0, 1, 2, 0]]
    options = {"compress": compress, "photometric": "MINISBLACK"}
    path = write_raster(tmp_path / "scene.tif", pixels, **options)
    bands = BandsConfig(count=4, depth="uint8")
    found = from_npy(read_picture(path, bands=bands).encoded).astype(int)
    assert np.abs(found - pixels).mean() <= (12 if compress == "jpeg" else 0)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(OSError) as told:
        read_picture(path, bands=bands)
    assert str(told.value).startswith(f"its TIFF ({compress.upper()} compression) takes rasterio: ")
    assert "pip install 'segline[rasters]'" in str(told.value) and "\n" not in str(told.value)
