"""What the docs say of the commands and of their results is what there is."""

import argparse
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

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
