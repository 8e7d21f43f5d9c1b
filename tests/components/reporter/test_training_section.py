import base64
import io
import json

import numpy as np
import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from PIL import Image

from components.reporter import training_section
from components.trainer import record


def grid(rng, pictures, height, width):
    """What PredictionPictures writes: noise beside masks of flat colours."""
    rows = []
    for _ in range(pictures):
        noise = rng.integers(0, 255, (height, width, 3))
        masks = [np.repeat(rng.integers(0, 255, (height, 2, 3)), width // 2, 1) for _ in range(2)]
        rows.append(np.concatenate([noise, *masks], axis=1))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_the_filmstrip_shows_what_the_grids_hold():
    rng = np.random.default_rng(0)
    grids = {epoch: grid(rng, 3, 32, 64) for epoch in range(3)}
    strip = training_section.make_filmstrip(grids, [32, 64])
    assert strip.headings == ["picture", "truth", "untrained", "epoch 1", "epoch 2"]
    assert len(strip.rows) == 3 and all(len(row) == 5 for row in strip.rows)
    for epoch, content in grids.items():
        whole = np.asarray(Image.open(io.BytesIO(content)))
        for row in range(3):
            np.testing.assert_array_equal(
                decoded(strip.rows[row][2 + epoch]), whole[row * 32 : (row + 1) * 32, 128:]
            )
    first = np.asarray(Image.open(io.BytesIO(grids[0])))
    np.testing.assert_array_equal(decoded(strip.rows[1][1]), first[32:64, 64:128])


@pytest.mark.parametrize("count", [1, 2, 7, 8, 21, 41, 1000])
def test_shown_epochs_are_few_and_hold_the_first_and_the_last(count):
    epochs = list(range(count))
    shown = training_section.shown_epochs(epochs)
    assert len(shown) == min(count, 7)
    assert shown == sorted(set(shown)) and shown[0] == 0 and shown[-1] == count - 1
    gaps = np.diff(shown)
    assert count <= 8 or gaps[0] < gaps[-1]  # more of the early ones


def test_forty_epochs_of_large_pictures_stay_small(tmp_path):
    """Of the page's limit of 5 MB, the training may take a small part."""
    rng = np.random.default_rng(0)
    (tmp_path / "predictions").mkdir()
    content = grid(rng, 16, 512, 512)
    for epoch in range(41):
        (tmp_path / "predictions" / f"epoch_{epoch:03d}.png").write_bytes(content)
    lines = ["epoch,accuracy,learning_rate,loss,val_accuracy,val_loss"]
    lines += [f"{epoch},0.9,0.001,{1 / (epoch + 1)},0.8,0.5" for epoch in range(40)]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    facts = {
        "trainer": {"epochs": 40, "precision": "float32", "seed": 0, "batch_size": 8},
        "device": "CPU",
        "image_size": [512, 512],
        "training_examples": 10,
        "validation_examples": 5,
        "steps_per_epoch": 3,
        "class_weights": {"leaf": 0.9, "soil": 0.1},
        "tiles": {"overlap": 32, "windows_per_picture": 16},
        "layers": [],
    }
    (tmp_path / "training.json").write_text(json.dumps(facts))
    section = training_section.make({"model_run": mlmd.Artifact(uri=str(tmp_path))})
    cells = [cell for row in section.filmstrip.rows for cell in row]
    size = sum(map(len, section.curves)) + sum(map(len, cells))
    assert size < 2_500_000
    assert dict(section.facts)["steps"] == "40 epochs of 3 steps of 8 windows"
    assert section.weighted
    assert dict(section.last)["training loss"] == f"{1 / 40:.4f}"


def test_a_training_of_an_older_version_has_its_curves(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,accuracy,loss\n0,0.5,1.0\n")
    assert record.read_training(str(tmp_path)) == {}
    section = training_section.make({"model_run": mlmd.Artifact(uri=str(tmp_path))})
    assert len(section.curves) == 2 and section.filmstrip is None and section.diagram == ""
