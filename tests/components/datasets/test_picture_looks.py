"""What pictures are: what one range of values can't tell of all of them is asked."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from geotiffs import write_raster
from PIL import Image
from scenes import names, save, scene
from surveys import COUNT

from components.common.bands import BandsConfig, from_npy
from components.common.errors import UserError
from components.common.picture_formats import for_model
from components.common.picture_settings import PictureSettings
from components.datasets.reading import read_pair
from components.datasets.sources.mask_source import mask_source
from components.datasets.survey import survey


def deep(folder, picture_of):
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / f"masks/{name}.png", mask)
        (folder / "images").mkdir(exist_ok=True)
        content = picture_of(image[..., 0], index)
        options = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(folder / f"images/{name}.tif", content, **options)
    return str(folder)


def test_two_depths_side_by_side_are_asked(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.uint16) * (16 if i % 2 else 257))
    with pytest.raises(UserError, match="6 of them have none above 4095.*--value-range 0 65535"):
        survey(root)
    told = survey(root, pictures=PictureSettings(value_range=(0, 65535)))
    assert told.config.pictures.value_range == (0, 65535)


def test_dark_pictures_of_one_depth_are_no_other_depth(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.uint16) * (1 + 20 * i))
    assert survey(root).config.pictures.value_range == (0, 65535)


@pytest.mark.parametrize(
    ("picture_of", "bands"),
    [
        (lambda grey, i: np.stack([grey, 255 - grey], -1), BandsConfig(count=2, depth="uint8")),
        (
            lambda grey, i: np.stack([grey, 255 - grey] * 2, -1).astype(np.uint16) * 9,
            BandsConfig(count=4, depth="uint16"),
        ),
        (
            lambda grey, i: np.stack([grey] * 13, -1) / np.float64(7),
            BandsConfig(count=13, depth="float32"),
        ),
    ],
)
def test_other_bands_than_a_viewers_are_all_seen(tmp_path, picture_of, bands):
    found = survey(deep(tmp_path, picture_of))
    assert found.bands == bands and not found.unusable
    assert "all of which the model sees" in found.notes[0] and "--bands 1" in found.notes[0]
    pair = found.matched.pairs[5]
    got = read_pair(pair, mask_source(found.config), found.config, found.bands)
    expected = picture_of(scene(names(COUNT).index(Path(pair.name).stem))[0][..., 0], 5)
    np.testing.assert_array_equal(from_npy(got.image), expected.astype(bands.depth))


def test_all_bands_of_one_or_three_by_choice(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.uint16) * 16)
    assert survey(root).bands is None
    found = survey(root, all_bands=True)
    assert found.bands == BandsConfig(count=1, depth="uint16")
    assert found.config.pictures.value_range is None


def test_red_green_and_blue_of_several_bands_by_choice(tmp_path):
    root = deep(tmp_path, lambda grey, i: np.stack([grey] * 5, -1))
    found = survey(root, pictures=PictureSettings(bands=(3, 2, 1)))
    assert found.bands is None and found.config.pictures.bands == (3, 2, 1)


def test_different_bands_are_told(tmp_path):
    root = deep(tmp_path, lambda grey, i: np.stack([grey] * (4 if i % 3 else 5), -1))
    with pytest.raises(UserError, match="8 have 4 of uint8.*4 have 5 of uint8.*--bands 1 2 3") as e:
        survey(root)
    assert "--leave-out takes those of 4 bands of uint8, as most have" in str(e.value)


@pytest.mark.parametrize(
    ("most", "few", "bands"),
    [
        ((4, np.uint16), (3, np.uint8), BandsConfig(count=4, depth="uint16")),
        ((4, np.uint8), (4, np.uint16), BandsConfig(count=4, depth="uint8")),
        ((3, np.uint8), (5, np.uint8), None),
    ],
)
def test_those_of_the_bands_that_most_have_where_others_are_left_out(tmp_path, most, few, bands):
    def picture(grey, index):
        count, kind = few if index % 4 == 0 else most
        return np.stack([grey] * count, -1).astype(kind)

    found = survey(deep(tmp_path, picture), leave_out=True)
    assert found.bands == bands
    odd = {f"{name}.tif" for index, name in enumerate(names(COUNT)) if index % 4 == 0}
    assert set(found.unusable) == odd


def test_nothing_that_can_be_read_is_told(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="none of the 12 pictures can be read"):
        survey(root, all_bands=True)


def test_a_depth_that_is_not_read_is_told(tmp_path):
    root = deep(tmp_path, lambda grey, i: np.stack([grey] * 4, -1).astype(np.uint32))
    with pytest.raises(UserError, match="of uint32; save them as one of uint8, uint16"):
        survey(root)


def test_a_fourth_band_that_is_called_alpha_is_a_band_where_four_are_asked_for(tmp_path):
    """GDAL tags it so where the first three are red, green and blue."""
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 4)).astype(np.uint8)
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    for count in (3, 4):
        bands = BandsConfig(count=count, depth="uint8")
        found = for_model(path.read_bytes(), bands=bands)
        np.testing.assert_array_equal(from_npy(found.encoded), pixels[..., :count])


def lying(folder, orientation, ending, upright, scale):
    """Pictures that a tag says to turn; masks of another resolution, upright or as stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    truths = {}
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        small = mask[::2, ::2] if scale < 1 else mask.repeat(scale, 0).repeat(scale, 1)
        turns = {3: 2, 6: 1}[orientation] if upright else 0
        stored = np.ascontiguousarray(np.rot90(image, turns))
        (folder / "images").mkdir(parents=True, exist_ok=True)
        exact = {"quality": 95, "subsampling": 0} if ending == "jpg" else {}
        Image.fromarray(stored).save(folder / f"images/{name}.{ending}", exif=exif, **exact)
        save(folder / f"masks/{name}.png", small)
        truths[name] = image, small.repeat(2, 0).repeat(2, 1) if scale < 1 else mask
    return truths


@pytest.mark.parametrize("scale", [0.5, 1, 2])
@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("ending", ["jpg", "tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_pictures_lie_as_their_masks_do(orientation, ending, upright, scale, tmp_path):
    truths = lying(tmp_path, orientation, ending, upright, scale)
    found = survey(str(tmp_path))
    source = mask_source(found.config)
    for pair in found.matched.pairs:
        image, mask = truths[pair.name[:3]]
        got = read_pair(pair, source, found.config)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(got.mask))), mask)
        seen = tf.io.decode_image(got.image, channels=3).numpy().astype(int)
        assert np.abs(seen - image).mean() < 6
    assert "EXIF" in " ".join(found.notes)


def near_infrared(folder, kind, infrared, **tags):
    """Pictures of four bands; gives the folder."""
    (folder / "images").mkdir()
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / f"masks/{name}.png", mask)
        fourth = np.full_like(image[..., :1], infrared, kind)
        pixels = np.concatenate([image.astype(kind), fourth], -1)
        write_raster(folder / f"images/{name}.tif", pixels, **tags)
    return str(folder)


@pytest.mark.parametrize(("kind", "infrared"), [(np.uint8, 200), (np.uint16, 3000)])
def test_a_fourth_band_that_is_named_is_taken_though_it_is_tagged_alpha(kind, infrared, tmp_path):
    root = near_infrared(tmp_path, kind, infrared, photometric="RGB", alpha="YES")
    found = survey(root, pictures=PictureSettings(bands=(4, 1, 2)))
    assert not found.unusable and "of the pictures' bands, 4, 1, 2 are taken" in found.notes
    assert not any("transparen" in note for note in found.notes)
    pair = found.matched.pairs[0]
    got = read_pair(pair, mask_source(found.config), found.config, found.bands)
    pixels = np.asarray(Image.open(io.BytesIO(got.image)))
    bits = 8 if kind == np.uint8 else 12  # 3,000 is below 4,096
    assert (pixels[..., 0] == infrared >> bits - 8).all()
    expected = scene(names(COUNT).index(Path(pair.name).stem))[0][..., :2] >> bits - 8
    np.testing.assert_array_equal(pixels[..., 1:], expected)


def test_the_range_of_values_is_that_of_the_bands_that_are_taken(tmp_path):
    root = near_infrared(tmp_path, np.uint16, 30000, photometric="MINISBLACK")
    found = survey(root, pictures=PictureSettings(bands=(1, 2, 3)))
    assert found.config.pictures.value_range == (0, 255)


def test_complex_pictures_are_told_and_end_nothing(tmp_path):
    root = deep(tmp_path, lambda grey, i: grey.astype(np.complex64 if i == 1 else np.uint8))
    found = survey(root)
    ((_, problem),) = found.unusable.items()
    assert "complex64" in problem
