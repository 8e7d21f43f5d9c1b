import numpy as np
import pytest
import tensorflow as tf

from components.common.errors import UserError
from components.trainer import input_pipeline
from components.trainer.config import AugmentationConfig, TrainerConfig


def numbered(count):
    """Pictures whose pixels are their number."""
    images = tf.reshape(tf.range(count, dtype=tf.float32), [-1, 1, 1, 1]) * tf.ones([1, 2, 2, 3])
    masks = tf.zeros([count, 2, 2], tf.uint8)
    return tf.data.Dataset.from_tensor_slices((images, masks))


def config(**values):
    plain = AugmentationConfig(horizontal_flip=False)
    return TrainerConfig(**{"batch_size": 4, "augmentation": plain, "shuffle_buffer": 10} | values)


def numbers(batches, count):
    return [batch[0].numpy()[:, 0, 0, 0].astype(int).tolist() for batch in batches.take(count)]


def test_an_epoch_holds_every_picture_once_and_epochs_differ():
    batches = input_pipeline.training_batches(numbered(10), config(), None)
    seen = numbers(batches, 6)
    first, second = sum(seen[:3], []), sum(seen[3:], [])
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second and first != list(range(10))


def test_the_seed_decides_about_the_order():
    def order(seed):
        return numbers(input_pipeline.training_batches(numbered(10), config(seed=seed), None), 6)

    assert order(1) == order(1) != order(2)


def test_class_weights_make_triples():
    batches = input_pipeline.training_batches(
        numbered(8), config(), np.array([0.7, 0.3], np.float32)
    )
    image, mask, weight = next(iter(batches))
    assert weight.shape == mask.shape and image.shape == (4, 2, 2, 3)
    np.testing.assert_allclose(weight, 0.7)


def test_validation_is_one_unchanged_pass():
    batches = input_pipeline.validation_batches(numbered(10), config())
    assert numbers(batches, 9) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_epoch_waits_for_the_autotuning_of_the_last_ones_iterator(tmp_path):
    path = str(tmp_path / "examples.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        writer.write(b"one")
    pictures = input_pipeline.read_examples([path]).map(lambda _: (tf.zeros([2, 2, 3]), [[0, 0]]))
    kept = input_pipeline.cached(pictures, config(), str(tmp_path))
    for batches in (
        input_pipeline.training_batches(kept, config(), None),
        input_pipeline.validation_batches(kept, config()),
    ):
        assert batches.options().autotune.enabled is False


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_caches_hold_the_same(cache, tmp_path):
    reads = []

    def note(*element):
        reads.append(1)
        return element[0]

    source = numbered(6).map(
        lambda *e: (tf.ensure_shape(tf.py_function(note, e, tf.float32), [2, 2, 3]), e[1])
    )
    dataset = input_pipeline.cached(source, config(cache=cache), str(tmp_path))
    for _ in range(2):
        assert [int(e[0].numpy().max()) for e in dataset] == list(range(6))
    assert len(reads) == (12 if cache == "none" else 6)


def test_no_files():
    with pytest.raises(FileNotFoundError, match="no example files match /nowhere"):
        input_pipeline.read_examples(["/nowhere/*"])


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_examples_of_which_a_file_is_lost_are_refused(damage, tmp_path):
    paths = [tmp_path / f"data_tfrecord-{index:05d}-of-00003.gz" for index in range(3)]
    for index, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            writer.write(str(index).encode())
    pattern = [str(tmp_path / "*")]
    assert input_pipeline.count_examples(input_pipeline.read_examples(pattern)) == 3
    if damage == "missing":
        paths[1].unlink()
    else:
        paths[1].write_bytes(b"")
    told = "file 1 of 3 is missing" if damage == "missing" else "00001-of-00003.gz is empty"
    with pytest.raises(UserError, match=f"{told}.*SEGLINE__RUN__CACHE=false"):
        input_pipeline.read_examples(pattern)
