"""Exports asked as the SavedModel is asked: the same masks, at the pictures' own sizes."""

from pathlib import Path

import numpy as np
import pytest
import small_models
import tensorflow as tf

from components.common.errors import UserError
from components.common.export_config import ExportConfig
from components.common.exported_model import ExportedModel, open_model
from components.common.model_card import read_card
from components.common.network import take_network
from components.common.picture_fit import PictureFit
from components.common.served_model import ServedModel
from components.exporter.conversion import Source, convert
from components.exporter.exporting import export_card
from components.exporter.on_device import on_device

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network():
    return small_models.trained()


@pytest.fixture(scope="module", params=["stretch", "views", "pad", "tiles"])
def models(request, network, tmp_path_factory):
    """The SavedModel, and its exports in both formats."""
    folder = tmp_path_factory.mktemp(request.param)
    tiles = {"tiles": {"scale": 0.5}} if request.param == "tiles" else {}
    kind = "stretch" if request.param == "views" else request.param
    fit = PictureFit(image_size=small_models.SIZE, fit=kind, **tiles)
    if request.param == "views":
        network = small_models.over_views(network, flip=True, sizes=[(32, 32), (64, 64)])
    path = small_models.save(network, folder / "model", fit)
    taken = take_network(tf.saved_model.load(path), small_models.SIZE)
    module = on_device(taken, small_models.SIZE, 2)
    exports = []
    for config in (ExportConfig(format="litert"), ExportConfig(format="onnx")):
        convert(
            Source(module, (), export_card(read_card(path), config)),
            config,
            str(folder / config.file),
        )
        exports.append(open_model(str(folder / config.file)))
    return ServedModel(path), exports


def pictures(fit):
    rng = np.random.default_rng(7)
    # Windows of half the scale cover 64x64 pixels.
    shapes = [(64, 64)] * 3 if fit == "tiles" else [(32, 32), (20, 90), (75, 40), (130, 117)]
    return [small_models.png(small_models.picture(rng, shape)[0]) for shape in shapes]


def test_masks_and_confidence_are_the_served_ones(models):
    served, exports = models
    encoded = pictures(served.fit.fit)
    wanted = served.predict(encoded)
    # Of pictures that are seen through windows the SavedModel keeps pixels in half precision.
    least = 0.995 if served.fit.fit == "tiles" else 0.999
    for export in exports:
        assert isinstance(export, ExportedModel) and export.fit == served.fit
        for found, one in zip(export.predict(encoded), wanted, strict=True):
            assert found.mask.dtype == np.uint8 and found.mask.shape == one.mask.shape
            assert np.mean(found.mask == one.mask) >= least
            assert len(np.unique(one.mask)) == 2  # both classes are there
            assert found.confidence == pytest.approx(one.confidence, abs=1e-3)


def test_what_is_no_picture_or_no_window_costs_the_others_nothing(models):
    served, exports = models
    good = pictures(served.fit.fit)[0]
    rng = np.random.default_rng(0)
    other = small_models.png(small_models.picture(rng, (60, 64))[0])
    for export in exports:
        found = export.predict_each([good, b"no picture", other])
        assert not isinstance(found[0], str) and isinstance(found[1], str)
        if served.fit.fit == "tiles":
            assert "one window of 64x64 pixels at a time, and the picture has 64x60" in found[2]
        else:
            assert found[2].mask.shape == (60, 64)


def test_what_can_not_be_asked_is_one_clear_error(tmp_path, models):
    _, exports = models
    with pytest.raises(UserError, match="an export can't flip"):
        open_model(exports[0].path, flip=True)
    for name in ("missing.onnx", "missing.tflite"):
        with pytest.raises(UserError, match=f"there is no file .*{name}"):
            open_model(str(tmp_path / name))
    for name in ("damaged.onnx", "damaged.tflite"):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
        with pytest.raises(UserError, match=f"{name} is no export of segline"):
            open_model(str(tmp_path / name))


def test_others_files_are_refused(tmp_path, models):
    """Sound files of both formats without our card."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(models[1][1].path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    content = Path(models[1][0].path).read_bytes()
    (tmp_path / "other.tflite").write_bytes(content[: content.index(b"PK\x03\x04")])
    for name in ("other.onnx", "other.tflite"):
        with pytest.raises(UserError, match=f"{name} is no export of segline"):
            open_model(str(tmp_path / name))
