"""SavedModels of segline's form, of a network that learns in seconds, and examples for it."""

import io
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from small_training import SMALL, halves, small_encoder, train

from components.common import schema
from components.common.picture_fit import PictureFit
from components.trainer import unet
from components.trainer.as_served import as_served
from components.trainer.config import ServingConfig, TrainerConfig
from components.trainer.export import export_model
from components.transform.preprocessing import preprocessing_fn

CLASSES = schema.ClassTable(values={"dark": 3, "light": 7})
SIZE = (32, 32)


class Transform(tf.Module):
    """What the Trainer asks of the Transform step's output, without that step.

    tensorflow_transform@1.16.0 tensorflow_transform/output_wrapper.py: TFTransformOutput.
    """

    def __init__(self, fit):
        super().__init__()
        self._config = {
            "transform": fit.model_dump_json(),
            "classes": CLASSES.model_dump_json(),
        }

    def transform_features_layer(self):
        return self

    def raw_feature_spec(self):
        names = (schema.IMAGE, schema.MASK, schema.EXAMPLE_ID)
        return {name: tf.io.FixedLenFeature([1], tf.string) for name in names}

    def __call__(self, features):
        given = dict(features)
        blank = tf.io.encode_png(tf.fill([1, 1, 1], tf.constant(3, tf.uint8)))
        given.setdefault(schema.MASK, tf.fill(tf.shape(given[schema.IMAGE]), blank))
        wanted = preprocessing_fn(given, self._config)
        return {
            name: one
            for name, one in wanted.items()
            if name != schema.MASK or schema.MASK in features
        }


def trained():
    """A network that tells `light` from `dark`."""
    config = TrainerConfig.model_validate({**SMALL, "epochs": 12})
    return train(config, data=halves(16))


def untrained(seed=1, size=SIZE):
    """One that tells nothing, and is there at once."""
    config = TrainerConfig.model_validate(SMALL)
    keras.utils.set_random_seed(seed)
    with mock.patch.object(unet, "build_encoder", small_encoder):
        return unet.build_unet(2, size, config.encoder, config.decoder)


def over_views(model, **views):
    """The same as it is served, over the views of `as_served`."""
    config = TrainerConfig.model_validate(SMALL)
    with mock.patch.object(unet, "build_encoder", small_encoder):
        return as_served(model, config.encoder, config.decoder, **views)


def save(model, folder, fit=None, telemetry=False, serving=None):
    """Exports it as the Trainer does; gives the folder's path."""
    fit = fit or PictureFit(image_size=SIZE)
    card = {
        "image_size": list(fit.image_size),
        "fit": fit.fit,
        "tiles": fit.tiles.model_dump() if fit.fit == "tiles" else None,
        "pictures": {},
    }
    serving = serving or ServingConfig(telemetry=telemetry)
    export_model(model, Transform(fit), CLASSES, str(folder), card, serving, fit)
    return str(folder)


def picture(rng, shape):
    """A picture that is bright where its mask is `light`: uint8 [height, width, 3], raw mask."""
    mask = np.full(shape, 3, np.uint8)
    mask[:, rng.integers(shape[1] // 4, 3 * shape[1] // 4) :] = 7
    mask[: rng.integers(1, shape[0] // 2)] = 3
    image = (mask == 7)[..., None] * 0.6 + rng.random((*shape, 3)) * 0.4
    return (image * 255).astype(np.uint8), mask


def mask_of(content):
    """A PNG's values: uint8 [height, width]."""
    return np.asarray(Image.open(io.BytesIO(content)))


def drawn(seed, shape=(32, 16)):
    """One, by its seed. (By default one side is the network's, so that nothing is resized.)"""
    return picture(np.random.default_rng(seed), shape)[0]


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_examples(path, shapes, seed=0):
    """Writes a TFRecord file as ExampleGen does; gives (picture, raw mask) of each example."""
    rng = np.random.default_rng(seed)
    pairs = [picture(rng, shape) for shape in shapes]
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for number, (image, mask) in enumerate(pairs):
            values = {
                schema.IMAGE: png(image),
                schema.MASK: png(mask),
                schema.EXAMPLE_ID: f"picture {number}".encode(),
            }
            feature = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in values.items()
            }
            features = tf.train.Features(feature=feature)
            writer.write(tf.train.Example(features=features).SerializeToString())
    return pairs


def in_half_precision(model):
    """The same network and weights, computed in bfloat16 as `trainer.precision` may ask for."""
    config = TrainerConfig.model_validate(SMALL)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with mock.patch.object(unet, "build_encoder", small_encoder):
            copy = unet.build_unet(2, SIZE, config.encoder, config.decoder)
    finally:
        keras.config.set_dtype_policy("float32")
    copy.set_weights(model.get_weights())
    return copy
