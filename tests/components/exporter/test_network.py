"""The network out of a SavedModel, against the Keras model that went in.

And what `components.labels.inference` sees by it: the models that it takes are made here.
"""

import io

import numpy as np
import pytest
import small_models
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.common.examples import unlabelled
from components.common.network import take_network
from components.common.picture_fit import PictureFit
from components.common.served_model import ServedModel
from components.exporter.on_device import on_device
from components.labels.inference import Inference
from components.trainer.encoders import ENCODER_NAME

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).random((3, 32, 32, 3), np.float32)


def logits_of(network, pictures):
    @tf.function
    def run(images):
        return network(images)

    return run(tf.constant(pictures)).numpy()


@pytest.mark.parametrize("fit", ["stretch", "pad", "tiles"])
def test_it_computes_what_the_keras_model_does(network, saved, pictures, fit):
    taken = take_network(tf.saved_model.load(saved(fit)), (32, 32))
    wanted = network(pictures, training=False).numpy()
    np.testing.assert_allclose(logits_of(taken, pictures), wanted, atol=1e-4, rtol=1e-4)


def test_half_precision_of_the_training_is_single_on_a_device(network, pictures, tmp_path):
    half = small_models.in_half_precision(network)
    wanted = network(pictures, training=False).numpy()
    # It does compute otherwise: or else this would show nothing.
    assert np.abs(half(pictures, training=False).numpy() - wanted).max() > 1e-3
    folder = small_models.save(half, tmp_path / "model")
    taken = take_network(tf.saved_model.load(folder), (32, 32))
    np.testing.assert_allclose(logits_of(taken, pictures), wanted, atol=1e-4, rtol=1e-4)


def test_what_a_device_runs_has_classes_and_probabilities(network, saved, pictures):
    taken = take_network(tf.saved_model.load(saved("stretch")), (32, 32))
    device = on_device(taken, (32, 32), 2)
    outputs = device.segment(tf.constant(pictures[:1] * 255))
    logits = network(pictures[:1], training=False).numpy().astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(outputs["probabilities"], shares, atol=1e-5)
    assert outputs["mask"].dtype == tf.uint8
    np.testing.assert_array_equal(outputs["mask"], logits.argmax(-1))
    assert len(np.unique(outputs["mask"])) == 2


def test_a_model_that_sees_another_size_has_none(saved):
    with pytest.raises(ValueError, match="0 networks in the model take pictures of 64x32"):
        take_network(tf.saved_model.load(saved("stretch")), (32, 64))


SHAPES = {"stretch": [(32, 32), (50, 40)], "pad": [(16, 32)], "tiles": [(32, 56), (64, 32)]}
# With `tiles`: windows side by side, the last of them at the end; which columns (or rows) of it
# the one before has already.
WINDOWS = [[(0, 0, 0, 0), (0, 24, 0, 8)], [(0, 0, 0, 0), (32, 0, 0, 0)]]


def softmax(logits):
    raised = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def views(fit, number, image, mask):
    """float32 [n, 32, 32, 3] and class indices [n, 32, 32] of a picture, made by NumPy."""
    indices = np.where(mask == 7, 1, 0).astype(np.uint8)
    image = image.astype(np.float32) / 255
    if fit == "tiles":
        images, labels = [], []
        for top, left, rows, columns in WINDOWS[number]:
            images.append(image[top : top + 32, left : left + 32])
            label = indices[top : top + 32, left : left + 32].copy()
            label[:rows], label[:, :columns] = 255, 255
            labels.append(label)
        return np.stack(images), np.stack(labels)
    if fit == "pad":  # 16 rows in the middle of 32
        padded, label = np.full((32, 32, 3), 0.5, np.float32), np.full((32, 32), 255, np.uint8)
        padded[8:24], label[8:24] = image, indices
        return padded[None], label[None]
    return image[None], indices[None]


@pytest.mark.parametrize("fit", ["stretch", "pad", "tiles"])
def test_probabilities_labels_and_features_are_the_networks(network, saved, fit, tmp_path):
    pairs = small_models.write_examples(tmp_path / "examples.gz", SHAPES[fit])
    records = tf.data.TFRecordDataset([str(tmp_path / "examples.gz")], "GZIP").as_numpy_iterator()
    inference = Inference(ServedModel(saved(fit)))
    found = list(inference.see(records, flip=True))
    assert len(found) == len(pairs)
    for number, (seen, (image, mask)) in enumerate(zip(found, pairs, strict=True)):
        if image.shape[:2] == (50, 40):  # resized by TensorFlow: no arithmetic to repeat here
            continue
        images, labels = views(fit, number, image, mask)
        np.testing.assert_array_equal(seen.labels, labels)
        wanted = softmax(network(images, training=False).numpy())
        near = 2e-3 if fit == "tiles" else 1e-4  # large pictures are kept in half precision
        np.testing.assert_allclose(seen.probabilities, wanted, atol=near)
        mirrored = softmax(network(images[:, :, ::-1], training=False).numpy())[:, :, ::-1]
        np.testing.assert_allclose(seen.mirrored, mirrored, atol=near)


def encoded(network, pictures):
    """What the encoder ends with."""
    encoder = network.get_layer(ENCODER_NAME)
    pictures = pictures.astype(np.float32)
    for layer in network.layers[1 : network.layers.index(encoder)]:  # what scales them, if any
        pictures = layer(pictures)
    return encoder(pictures)[-1].numpy()


def test_features_are_the_mean_of_what_the_encoder_ends_with(network, saved, tmp_path):
    ((image, _),) = small_models.write_examples(tmp_path / "examples.gz", [(32, 32)])
    records = tf.data.TFRecordDataset([str(tmp_path / "examples.gz")], "GZIP").as_numpy_iterator()
    (seen,) = Inference(ServedModel(saved("stretch"))).see(records)
    wanted = encoded(network, image[None] / 255).mean((1, 2))[0]
    assert np.abs(wanted).max() > 1e-2
    np.testing.assert_allclose(seen.features, wanted, atol=1e-4)


def test_a_network_that_sees_the_mirror_image_too_is_one_network(network, pictures, tmp_path):
    """What is served, watched, exported and asked for labels: all of it sees both."""
    path = small_models.save(small_models.over_views(network, flip=True), tmp_path / "model")
    model = ServedModel(path)
    taken = take_network(model.saved_model, (32, 32))
    both = pictures, pictures[:, :, ::-1]
    one, other = (network(some, training=False).numpy() for some in both)
    np.testing.assert_allclose(logits_of(taken, pictures), (one + other[:, :, ::-1]) / 2, atol=1e-4)
    ((image, _),) = small_models.write_examples(tmp_path / "examples.gz", [(32, 32)])
    records = tf.data.TFRecordDataset([str(tmp_path / "examples.gz")], "GZIP").as_numpy_iterator()
    (seen,) = Inference(model).see(records, flip=True)
    np.testing.assert_allclose(seen.probabilities, seen.mirrored, atol=1e-5)
    found, mirrored = model.predict([small_models.png(some) for some in (image, image[:, ::-1])])
    np.testing.assert_array_equal(found.mask, mirrored.mask[:, ::-1])
    assert found.confidence == pytest.approx(mirrored.confidence, abs=1e-6)
    assert seen.features.shape == (network.get_layer(ENCODER_NAME).outputs[-1].shape[-1],)


def test_features_are_those_of_the_pictures_own_size(tmp_path):
    fit, pictures = PictureFit(image_size=(64, 64)), np.random.default_rng(0).random((2, 64, 64, 3))
    network = small_models.untrained(size=fit.image_size)
    views = small_models.over_views(network, flip=True, sizes=[(32, 32), (64, 64)])
    path = small_models.save(views, tmp_path / "model", fit)
    taken = take_network(tf.saved_model.load(path), fit.image_size)

    @tf.function
    def seen(images):
        return taken.with_features(images)

    logits, features = seen(tf.constant(pictures, tf.float32))
    wanted = [encoded(network, some).mean((1, 2)) for some in (pictures, pictures[:, :, ::-1])]
    assert any(np.allclose(features, one, atol=1e-4) for one in wanted)
    np.testing.assert_allclose(logits, views.predict_on_batch(pictures), atol=1e-4)


def test_each_weight_is_there_once(network, tmp_path):
    path = small_models.save(
        small_models.over_views(network, flip=True, sizes=[(32, 32), (64, 64)]), tmp_path / "model"
    )
    taken = take_network(tf.saved_model.load(path), (32, 32))
    held = [node for node in taken.graph.node if node.op == "Const"]
    sizes = [tf.make_ndarray(node.attr["value"].tensor).size for node in held]
    assert sum(size for size in sizes if size > 8) <= network.count_params()


def test_a_picture_without_a_mask_is_seen_as_one_with(network, saved):
    model = ServedModel(saved("pad"))
    image = np.random.default_rng(0).integers(0, 255, (16, 32, 3)).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG")
    record = unlabelled(encoded.getvalue(), model.classes, (32, 16))
    (seen,) = Inference(model).see([record])
    images, labels = views("pad", 0, image, np.zeros((16, 32)))
    np.testing.assert_array_equal(seen.labels != schema.IGNORE_INDEX, labels != 255)
    wanted = softmax(network(images, training=False).numpy())
    np.testing.assert_allclose(seen.probabilities, wanted, atol=1e-4)
