"""What the served version says of its own data, and how that is kept."""

import numpy as np
import pytest
import small_models
import tensorflow as tf
from small_models import drawn

from components.common.errors import UserError
from components.watcher import reference


def write_split(folder, name, pictures, files=1, **features):
    split = folder / f"Split-{name}"
    split.mkdir()
    for number in range(files):
        with tf.io.TFRecordWriter(str(split / f"data-{number}.gz"), "GZIP") as writer:
            for picture in pictures[number::files]:
                example = tf.train.Example()
                for key, value in {"image": picture, **features}.items():
                    example.features.feature[key].bytes_list.value.append(value)
                writer.write(example.SerializeToString())


@pytest.fixture
def data(tmp_path):
    write_split(tmp_path, "train", [small_models.png(drawn(seed)) for seed in range(4)])
    return reference.Data(str(tmp_path), "train", ())


def test_it_is_kept_by_what_it_is_sliced_by(plain, tmp_path):
    pictures = [small_models.png(drawn(seed)) for seed in range(4)]
    write_split(tmp_path, "train", pictures, species=b"cat")
    folder = f"file://{tmp_path}/runs/watch"  # as a bucket has it
    for slice_by in ((), ("species",), ("species",)):
        data = reference.Data(str(tmp_path), "train", slice_by)
        found = reference.reference_of("7", data, plain, 20, folder)
        assert found.trained.count == found.judged.count == 4
        assert list(found.trained.slices) == list(slice_by)
        assert found.slices() == ({"species": {"cat"}} if slice_by else {})
    kept = list((tmp_path / "runs/watch").iterdir())
    assert len(kept) == 2 and {file.suffix for file in kept} == {".npz"}


def test_what_is_kept_is_read_and_where_it_is_damaged_the_version_is_asked_anew(
    plain, data, tmp_path, monkeypatch
):
    folder = str(tmp_path / "watch")
    first = reference.reference_of("7", data, plain, 20, folder)
    (kept,) = (tmp_path / "watch").iterdir()
    whole = kept.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(reference, "_ask", None)  # nobody is asked
        again = reference.reference_of("7", data, plain, 20, folder)
        assert again.judged.values["confidence"].tolist() == (
            first.judged.values["confidence"].tolist()
        )
    for damaged in (b"", whole[:-40], b"x" * 100, whole[:200] + b"x" * 200 + whole[400:]):
        kept.write_bytes(damaged)
        assert reference.reference_of("7", data, plain, 20, folder).trained.count == 4
        assert len(kept.read_bytes()) == len(whole)
    # Of another version's words nobody has a use any more.
    reference.reference_of("8", data, plain, 20, folder)
    assert [path.name[:2] for path in (tmp_path / "watch").iterdir()] == ["8-"]


def test_examples_that_are_gone_and_examples_that_the_version_refuses_are_told_apart(
    plain, tmp_path
):
    good, folder = small_models.png(drawn(0)), str(tmp_path / "watch")
    write_split(tmp_path, "train", [good, b"no picture", good])
    write_split(tmp_path, "test", [b"no picture"])

    def asked(version, examples, split):
        data = reference.Data(str(examples), split, ())
        return reference.reference_of(version, data, plain, 9, folder)

    found = asked("7", tmp_path, "train")
    assert (found.trained.count, found.judged.count, found.refused) == (2, 2, 2)
    with pytest.raises(UserError, match="of split test none can be asked: the model can't take"):
        asked("8", tmp_path, "test")
    with pytest.raises(UserError, match="are gone"):
        asked("9", tmp_path / "none", "test")


def test_a_folder_that_can_t_be_written_is_one_clear_error(plain, data):
    with pytest.raises(UserError, match=r"/proc/none/7-.* can't be written: "):
        reference.reference_of("7", data, plain, 20, "/proc/none")


@pytest.mark.parametrize(("count", "step"), [(20, 2), (8, 5), (3, 40 / 3), (100, 1)])
def test_fewer_examples_are_taken_evenly_from_all_files(tmp_path, count, step):
    """Examples lie in the order of their hashes, or in that of a round of labelling."""
    write_split(tmp_path, "train", [str(number).encode() for number in range(40)], files=3)
    files = sorted(str(path) for path in (tmp_path / "Split-train").iterdir())
    in_order = [*range(0, 40, 3), *range(1, 40, 3), *range(2, 40, 3)]
    found = [
        int(tf.train.Example.FromString(one).features.feature["image"].bytes_list.value[0])
        for one in reference._evenly(files, count)
    ]
    assert found == [in_order[int(place)] for place in np.arange(min(count, 40)) * step]
