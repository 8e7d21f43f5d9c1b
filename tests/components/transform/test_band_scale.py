"""What the analyzers learn, against NumPy's own numbers of the same pixels."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from components.common import schema
from components.common.bands import BandsConfig, to_npy
from components.common.picture_fit import PictureFit
from components.common.pictures import unpack_image
from components.transform.preprocessing import preprocessing_fn

SIDE = 64  # the grid that quantiles are taken from: all pixels are
SPEC = {key: tf.io.FixedLenFeature([1], tf.string) for key in (schema.IMAGE, schema.MASK)}


def pictures():
    """Bands that have nothing in common; the third is the same everywhere, the last a rare flag."""
    rng = np.random.default_rng(0)
    values = rng.gamma(2, [500, 900, 1, 3000, 1], (9, SIDE, SIDE, 5)).clip(0, 65535)
    values[..., 2] = 77
    values[..., 4] = rng.random((9, SIDE, SIDE)) < 0.004
    return values.astype(np.uint16)


def scaled(scale, tmp_path, fit):
    """By the graph that training, evaluation and serving share."""
    config = {
        "transform": PictureFit(image_size=(SIDE, SIDE), fit=fit).model_dump_json(),
        "classes": schema.ClassTable(values={"a": 0, "b": 1}).model_dump_json(),
        "bands": BandsConfig(count=5, depth="uint16", scale=scale).model_dump_json(),
    }
    mask = tf.io.encode_png(np.zeros((SIDE, SIDE, 1), np.uint8)).numpy()
    rows = [{schema.IMAGE: [to_npy(one)], schema.MASK: [mask]} for one in pictures()]
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(SPEC))
    with beam.Pipeline() as pipeline, tft_beam.Context(str(tmp_path / "temporary")):
        data = pipeline | beam.Create(rows), metadata
        learned = data | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, config))
        _ = learned | tft_beam.WriteTransformFn(str(tmp_path / "out"))
    layer = tft.TFTransformOutput(str(tmp_path / "out")).transform_features_layer()
    raw = {key: tf.constant([row[key] for row in rows]) for key in SPEC}
    return layer(raw)[schema.IMAGE]


@pytest.mark.slow
def test_percentiles_of_each_band(tmp_path):
    found = scaled("quantiles", tmp_path, "stretch").numpy()
    values = pictures().astype(np.float64)
    low, high = np.percentile(values.reshape(-1, 5), [1, 99], axis=0)
    low[4], high[4] = 0, 1  # a flag's percentiles are the same: its extremes
    expected = ((values - low) / np.where(high > low, high - low, np.inf)).clip(0, 1)
    np.testing.assert_allclose(found, expected, atol=0.003)  # quantiles are off by 0.1 % of a rank
    assert found[..., 2].max() == 0 and set(np.unique(found[..., 4])) == {0, 1}


@pytest.mark.slow
def test_mean_and_deviation_of_each_band_and_packed_pictures(tmp_path):
    packed = scaled("mean_std", tmp_path, "tiles")
    found = np.stack([unpack_image(one, 5).numpy() for one in packed])
    values = pictures().astype(np.float64)
    flat = values.reshape(-1, 5)
    low = flat.mean(0) - 3 * flat.std(0)
    width = 6 * flat.std(0)
    expected = ((values - low) / np.where(width > 0, width, np.inf)).clip(0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # half precision
