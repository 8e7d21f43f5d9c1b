"""What the values of masks mean, as tools and people write them; what can't be told is asked."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter
from scenes import HEIGHT, VOC, WIDTH, names, paletted, save, scene
from surveys import COUNT, assert_values, masks, png, read

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.survey import survey


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


def photo(path, mask, index):
    picture = Image.fromarray(scene(index)[0])
    picture.putalpha(Image.fromarray((mask > 0).astype(np.uint8) * 255))
    picture.save(path.with_suffix(".png"))


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
    "arithmetic's fractions": (
        lambda path, mask, i: np.save(path.with_suffix(".npy"), mask * np.float32(1 + 1e-6)),
        lambda mask: mask,
    ),
    "pictures that are cut out": (photo, lambda mask: (mask > 0) * 255),
    "a palette that nobody filled in": (
        lambda path, mask, i: paletted(mask, VOC * 0).save(path.with_suffix(".png")),
        lambda mask: mask,
    ),
    "colours of 16 bits": (
        lambda path, mask, i: path.with_suffix(".png").write_bytes(
            tf.io.encode_png(VOC[mask].astype(np.uint16) * 257).numpy()
        ),
        lambda mask: mask,
    ),
    "lossy WebP": (
        lambda path, mask, i: save(path.with_suffix(".webp"), np.uint8((mask > 0) * 255)),
        lambda mask: (mask > 0) * 255,
    ),
    "half the resolution": (
        png(lambda mask, i: mask[::2, ::2]),
        lambda mask: mask[::2, ::2].repeat(2, 0).repeat(2, 1),
    ),
    "double the resolution, some": (
        png(lambda mask, i: mask.repeat(1 + i % 2, 0).repeat(1 + i % 2, 1)),
        lambda mask: mask,
    ),
    "a pixel too large": (
        png(lambda mask, i: np.pad(mask, ((0, i % 2), (0, 1)), "edge")),
        lambda mask: mask,
    ),
}


def void_of_16_bits(mask, index):
    values = mask.astype(np.uint16)
    values[:, 1:][np.diff(mask.astype(int), axis=1) != 0] = 65535
    return values


def test_what_counts_nowhere_in_16_bits_and_in_colours(tmp_path):
    found = survey(masks(tmp_path / "a", png(void_of_16_bits)))
    assert found.ignored == [65535] and "65535 is thin" in " ".join(found.notes)
    table = np.zeros((256, 3), np.uint8)
    table[:3], table[255] = VOC[:3], (224, 224, 192)
    found = survey(masks(tmp_path / "b", png(lambda m, i: table[void_of_16_bits(m, i) & 255])))
    assert found.ignored == [255] and "VOC's border" in " ".join(found.notes)
    values, _ = read(found)
    for index, name in enumerate(names(COUNT)):
        expected = void_of_16_bits(scene(index)[1], index) == 65535
        np.testing.assert_array_equal(values[name] == 255, expected)


def test_values_of_rims_are_told(tmp_path):
    """Classes 0 and 2, resized with interpolation: 1 lies between."""

    def resized(path, mask, index):
        drawn = Image.fromarray(np.uint8((mask > 0) * 2))
        box = (0.4, 0.4, WIDTH - 0.4, HEIGHT - 0.4)
        drawn.resize(drawn.size, Image.Resampling.BILINEAR, box).save(path.with_suffix(".png"))

    root = masks(tmp_path, resized)
    assert "interpolation" in " ".join(survey(root).notes)
    found = survey(root, answers=Answers(colors=[(0, 0, 0), (2, 2, 2)]))
    assert set(found.pixels) == {0, 2}


OBVIOUS = (
    "16 bits",
    "colours of 16 bits",
    "an array",
    "arithmetic's fractions",
    "a palette that nobody filled in",
)


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
        if kind in ("palettes of their own", "colours of 16 bits"):
            np.testing.assert_array_equal(classes_of(values[name], mask), values[name])
        else:
            np.testing.assert_array_equal(values[name], meaning(mask), name)
    assert found.notes or kind in OBVIOUS, "nobody was told"
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


def heaped(mask, index):
    """As `things`, but they may cover one another."""
    rng, numbered = np.random.default_rng(index), np.zeros_like(mask)
    for number in range(1, int(rng.integers(20, 50))):
        y, x = rng.integers(0, (HEIGHT - 4, WIDTH - 4))
        numbered[y : y + 4, x : x + 4] = number
    return numbered


def colored(mask, index):
    """A random colour for each thing."""
    colors = np.random.default_rng(index).integers(1, 255, (60, 3)).astype(np.uint8)
    colors[0] = 0
    return colors[things(mask, index)]


def grey_jpeg(path, mask, index):
    save(path.with_suffix(".jpg"), np.array([0, 127, 255], np.uint8)[mask], quality=85)


def blurred(radius):
    def make(path, mask, index):
        drawn = Image.fromarray(np.array([0, 127, 255], np.uint8)[mask])
        drawn.filter(ImageFilter.GaussianBlur(radius)).save(path.with_suffix(".png"))

    return make


def slips(mask, index):
    values = ((mask > 0) * 255).astype(np.uint8)
    values[0, :3] = 128 if index < 3 else 0
    return values


REFUSED = {
    "fractions": (
        lambda path, mask, i: np.save(path.with_suffix(".npy"), mask / 2),
        r"s00.npy.*no whole numbers \(0.5\).*--recode 0.5=1",
    ),
    "things": (png(things), "look like numbers of things .*--instances .*--classes"),
    "a heap of things": (png(heaped), "look like numbers of things .*--instances .*--classes"),
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
    "another shape": (
        png(lambda mask, i: mask[:, ::2]),
        r"mask 24x36, picture 48x36.*neither cut, turned nor stretched",
    ),
    "turned": (png(lambda mask, i: mask.T), r"mask 36x48, picture 48x36"),
    "numbers that don't begin at 1": (
        png(lambda mask, i: (things(mask, i) + 300 * (things(mask, i) > 0)).astype(np.uint16)),
        "numbers of things .301 to .*--instances",
    ),
    "a class and a number in one": (
        png(lambda mask, i: (mask.astype(int) * 1000 + i * (mask > 0)).astype(np.uint16)),
        "a class times 1000 .*labelIds.*--instances",
    ),
    "a colour for each thing": (png(colored), "most of them in one mask only.*--instances"),
    "three levels in JPEG": (grey_jpeg, "saved with loss.*as --colors 0 127 255"),
    "blurred": (blurred(5), "smooth edges.*--colors"),
    "a little blurred": (blurred(2), "smooth edges.*--colors"),
    "slips, or a class": (
        png(slips),
        "128 is of 9 pixels in 3 of 12 masks.*--ignore 128 .*--classe",
    ),
    "probabilities": (
        lambda path, mask, i: np.save(
            path.with_suffix(".npy"), np.random.default_rng(i).uniform(0, 1, mask.shape)
        ),
        "probabilities.* Save the classes that they make",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_told_is_asked(kind, tmp_path):
    make, message = REFUSED[kind]
    with pytest.raises(UserError, match=message):
        survey(masks(tmp_path, make))


def test_answers(tmp_path):
    halves = masks(tmp_path / "a", REFUSED["fractions"][0])
    assert_values(survey(halves, answers=Answers(recode={0.5: 1, 1.0: 2})))
    for kind in (things, colored):
        numbered = masks(tmp_path / kind.__name__, png(kind))
        values, _ = read(survey(numbered, answers=Answers(instances=True)))
        for index, name in enumerate(names(COUNT)):
            np.testing.assert_array_equal(values[name], things(scene(index)[1], index) > 0)
    slipped = masks(tmp_path / "slips", png(slips))
    assert survey(slipped, answers=Answers(ignore=[128])).ignored == [128]
    assert 128 in survey(slipped, answers=Answers(instances=False)).pixels
    jpeg = masks(tmp_path / "c", REFUSED["colours in JPEG"][0])
    colors = [tuple(map(int, color)) for color in VOC[:3]]
    values, _ = read(survey(jpeg, answers=Answers(colors=colors)))
    agree = np.mean([np.mean(values[n] == scene(i)[1]) for i, n in enumerate(names(COUNT))])
    assert agree > 0.93  # (a rim may be lost)


def test_masks_of_two_annotators(tmp_path):
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
