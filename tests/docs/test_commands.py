"""What the docs say of the commands and of their results is what there is."""

import argparse
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from geotiffs import write_raster
from PIL import Image

from components.common import band_tensors
from components.common.bands import BandsConfig
from pipeline import cli

DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands_of(parser):
    """All commands below a parser, as they are typed."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        return [parser.prog]
    return [name for one in below for child in one.choices.values() for name in commands_of(child)]


def test_the_reference_names_every_command():
    text = (DOCS / "reference/cli.md").read_text()
    missing = [one for one in commands_of(cli.make_parser()) if f"`{one}" not in text]
    assert not missing


class Sizes(tf.Module):
    """Answers an array with a mask of its height and width."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        pixels = band_tensors.decode(image_bytes[0], BandsConfig(count=4, depth="uint16"))
        mask = tf.cast(pixels[..., :1] > 30000, tf.uint8)
        return {"mask_png_bytes": tf.io.encode_png(mask)[tf.newaxis]}


@pytest.mark.parametrize("interleaved", ["pixel", "band"])
def test_an_array_is_asked_for_as_the_docs_do(tmp_path, monkeypatch, interleaved):
    text = (DOCS / "how-to/large-pictures.md").read_text()
    read, ask = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)[:2]
    pixels = np.random.default_rng(0).integers(0, 65535, (20, 30, 4)).astype(np.uint16)
    write_raster(tmp_path / "scene.tif", pixels, interleave=interleaved)
    module = Sizes()
    folder = tmp_path / re.search(r'load\("(.*?)"\)', ask)[1]
    tf.saved_model.save(module, str(folder), {"serving_default": module.serve})
    monkeypatch.chdir(tmp_path)
    exec(read + ask, {})
    np.testing.assert_array_equal(Image.open("mask.png"), pixels[..., 0] > 30000)


def test_the_rows_of_a_batch_are_read_with_rasters_masks_beside_them(tmp_path, monkeypatch):
    code = re.search(
        r"^```python\n(.*?read_table.*?)^```", (DOCS / "how-to/predict.md").read_text(), re.M | re.S
    )[1]
    expected = np.arange(6, dtype=np.uint8).reshape(2, 3)
    png = io.BytesIO()
    Image.fromarray(expected).save(png, "PNG")
    (tmp_path / "masks").mkdir()
    for part in range(2):
        table = pa.table({"picture": [f"{part}.png"], "mask_png": [png.getvalue()]})
        pq.write_table(table, tmp_path / f"masks/predictions-0000{part}-of-00002.parquet")
    Image.fromarray(expected).save(tmp_path / "masks/scene_mask.tif")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    assert sorted(found["rows"].picture) == ["0.png", "1.png"]
    np.testing.assert_array_equal(np.asarray(found["mask"]), expected)
