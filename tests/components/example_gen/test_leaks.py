"""Copies of pictures, found between the splits."""

import io

import imagehash
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common.errors import UserError
from components.datasets.synthetic_pets import draw_pet
from components.example_gen import leaks
from components.example_gen.config import LeaksConfig


@pytest.fixture(scope="module")
def pets():
    return [draw_pet(seed)[0] for seed in range(120)]


def hashes(pictures, name):
    small = [tf.image.resize(picture, (32, 32), "area").numpy() for picture in pictures]
    sizes = np.array([picture.shape[:2] for picture in pictures])
    texts = leaks.picture_hashes(np.stack(small), sizes)
    return [(f"{name}{i}", text) for i, text in enumerate(texts)]


def recompressed(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def smaller(picture):
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width * 2 // 3, image.height * 2 // 3)))


@pytest.mark.parametrize("copy", [lambda picture: picture, recompressed, smaller])
def test_copies_are_found_and_others_are_not(pets, copy):
    train, test = pets[:100], [copy(pets[7]), *pets[100:], copy(pets[60])]
    found = leaks.find_leaks("test", hashes(test, "test"), hashes(train, "train"), 3)
    assert [(leak.example_id, leak.train_id) for leak in found] == [
        ("test0", "train7"),
        ("test21", "train60"),
    ]
    assert str(found[0]).startswith("test0 is ")


def test_the_hash_is_nearly_that_of_imagehash(pets):
    """Which makes pictures smaller by another filter, so that a few bits may differ."""
    for (_, text), picture in zip(hashes(pets, ""), pets, strict=True):
        theirs = str(imagehash.phash(Image.fromarray(picture)))
        assert (int(text, 16) ^ int(theirs, 16)).bit_count() <= 6


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (7, 7)])
def test_pictures_of_few_pixels_are_like_their_equals_alone(size):
    """They have nothing at most of the hash's frequencies, and would all be nearly the same."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, *size, 3)).astype(np.uint8)
    test = np.concatenate([pictures[30:], pictures[4:5]])
    found = leaks.find_leaks("test", hashes(test, "test"), hashes(pictures[:30], "train"), 3)
    assert [(leak.example_id, leak.train_id) for leak in found] == [("test10", "train4")]


@pytest.mark.parametrize("distance", [0, 1, 3, 6])
def test_none_is_missed_against_comparing_all(distance):
    rng = np.random.default_rng(distance)
    train = [(str(i), f"{value:016x}") for i, value in enumerate(rng.integers(0, 2**63, 300))]
    test = []
    for index in range(200):  # some near one of them, some not
        value = int(train[index][1], 16)
        for bit in rng.choice(64, rng.integers(0, 10), replace=False):
            value ^= 1 << int(bit)
        test.append((f"t{index}", f"{value:016x}"))
    found = {
        leak.example_id: leak.distance for leak in leaks.find_leaks("test", test, train, distance)
    }
    expected = {}
    for example_id, text in test:
        nearest = min(bin(int(text, 16) ^ int(other, 16)).count("1") for _, other in train)
        if nearest <= distance:
            expected[example_id] = nearest
    assert found == expected and expected


@pytest.mark.parametrize("distance", [0, 3])
def test_groups_are_those_of_comparing_all(distance):
    """Against a walk from picture to picture; one of a chain is near its neighbours alone."""
    rng = np.random.default_rng(distance)
    values = [int(value) for value in rng.integers(0, 2**63, 40)]
    for value in values[:6]:
        bits = rng.permutation(64)
        for length in range(1, 4):  # a chain, two bits a link
            changed = [1 << int(bit) for bit in bits[: 2 * length]]
            values.append(value ^ sum(changed))
    values += values[:3]
    examples = [(f"p{at}", f"{values[at]:016x}") for at in rng.permutation(len(values))]
    left, expected = dict(examples), set()
    while left:
        group = [next(iter(left))]
        for name in group:
            near = [
                other
                for other, text in left.items()
                if (int(text, 16) ^ int(dict(examples)[name], 16)).bit_count() <= distance
            ]
            group += [other for other in near if other not in group]
            for other in near:
                del left[other]
        if len(group) > 1:
            expected.add(frozenset(group))
    found = leaks.find_alike(examples, distance)
    assert {frozenset(group) for group in found} == expected
    assert max(map(len, found)) == (2 if distance == 0 else 5)
    assert leaks.find_alike([], distance) == []


def test_the_limit():
    found = [leaks.Leak("test", f"a{i}", f"b{i}", i % 2) for i in range(30)]
    counts = {"validation": 10, "test": 100}
    leaks.check(found, counts, LeaksConfig(max_fraction=None))
    with pytest.raises(UserError, match="allows 1.0%"):
        leaks.check(found, counts, LeaksConfig())
    leaks.check(found, counts, LeaksConfig(max_fraction=0.3))
    validation = [leaks.Leak("validation", f"a{i}", f"b{i}", 0) for i in range(5)]
    leaks.check(validation, counts, LeaksConfig())  # told, no reason to stop
    with pytest.raises(UserError) as error:
        leaks.check(found, counts, LeaksConfig(max_fraction=0.1))
    first, *lines = str(error.value).splitlines()
    assert first.startswith("30 of the 100 pictures of split test are in the training split too")
    assert lines[:2] == ["  a0 is b0", "  a1 is nearly (1 bit) b1"] and len(lines) == 21


def test_they_are_kept(tmp_path):
    found = [leaks.Leak("test", "a", "b", 2)]
    leaks.write_leaks(str(tmp_path), found)
    assert leaks.read_leaks(str(tmp_path)) == found
    assert leaks.read_leaks(str(tmp_path / "nowhere")) == []
    leaks.write_alike(str(tmp_path), [["a", "b"]])
    assert leaks.read_alike(str(tmp_path)) == [["a", "b"]]
    assert leaks.read_alike(str(tmp_path / "nowhere")) == []
