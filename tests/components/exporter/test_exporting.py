"""Real exports of a small model: what is told of them against what is counted here."""

import dataclasses
import io
import json
import math
import zipfile

import flatbuffers
import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as tflite

from components.common import confusion
from components.common.export_config import ExportConfig
from components.common.exported_model import ExportedModel
from components.common.network import take_network
from components.exporter import exporting
from components.exporter.exporting import Data, export_all
from components.exporter.on_device import on_device
from components.exporter.probing import Probed
from components.exporter.result import ExportResult, read_result, write_result

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.slow

FORMATS, PRECISIONS = ("litert", "onnx"), ("none", "float16", "int8")
ALL = [ExportConfig(format=f, quantize=q, max_drop=0.2) for f in FORMATS for q in PRECISIONS]


@pytest.fixture(scope="module")
def unhurried():
    """Without the processes that try them (test_probing.py): each takes TensorFlow's start."""
    with pytest.MonkeyPatch.context() as patch:

        def probe(model_dir, picture, image, exports):
            assert image.shape == (1, 32, 32, 3) and image.dtype == np.float32
            return Probed({model_dir: 12.5, **dict.fromkeys(exports, 2.5)})

        patch.setattr(exporting, "probe", probe)
        yield


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """Pictures of the model's own size: nothing is resized, so that others can count."""
    folder = tmp_path_factory.mktemp("square")
    train = small_models.write_examples(folder / "train", [(32, 32)] * 20, seed=3)
    pairs = small_models.write_examples(folder / "test", [(32, 32)] * 25, seed=4)
    assert len(train) == 20
    return Data([str(folder / "train")], 20, [str(folder / "test")]), pairs


@pytest.fixture(scope="module")
def exported(unhurried, saved, square, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return folder, export_all(saved("stretch"), square[0], ALL, "model", str(folder))


def run_here(path, pictures):
    """Masks by the bare runtimes: uint8 [n, 32, 32]."""
    batches = [one[None].astype(np.float32) for one in pictures]
    if path.suffix == ".tflite":
        run = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
        return np.concatenate([run(image=one)["mask"] for one in batches])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["mask"], {"image": one})[0] for one in batches])


@pytest.mark.parametrize("number", range(len(ALL)))
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_the_numbers_are_those_of_the_file(exported, saved, square, number):
    folder, results = exported
    result, (_, pairs) = results[number], square
    path = folder / ALL[number].file
    masks = run_here(path, [image for image, _ in pairs])
    serve = tf.saved_model.load(saved("stretch")).signatures["serving_default"]
    served = serve(image_bytes=tf.constant([small_models.png(image) for image, _ in pairs]))
    served = served["mask"].numpy()
    truth = np.stack([mask == 7 for _, mask in pairs]).astype(int)

    def scores(found):
        cells = np.bincount((truth * 2 + found).ravel(), minlength=4).reshape(2, 2)
        return confusion.scores(cells, ["dark", "light"])

    own, wanted = scores(served), scores(masks)
    assert own["mean_iou"] > 0.6  # the small network has learnt something
    assert result.mean_iou == pytest.approx(wanted["mean_iou"], abs=1e-12)
    assert result.model_mean_iou == pytest.approx(own["mean_iou"], abs=1e-12)
    assert result.class_iou == pytest.approx({n: wanted[f"iou_{n}"] for n in ("dark", "light")})
    assert result.agreement == pytest.approx(np.mean(masks == served), abs=1e-12)
    assert result.blessed == (own["mean_iou"] - wanted["mean_iou"] <= 0.2)
    assert result.size_bytes == path.stat().st_size
    assert (result.latency_ms, result.model_latency_ms) == (2.5, 12.5)


def test_what_each_precision_is_good_for(exported):
    folder, results = exported
    by_file = {result.file: result for result in results}
    for ending in ("tflite", "onnx"):
        whole, half, byte = (by_file[f"model{q}.{ending}"] for q in ("", "_float16", "_int8"))
        assert whole.agreement >= 0.999
        assert half.agreement >= 0.99 and half.size_bytes < 0.8 * whole.size_bytes
        assert byte.agreement >= 0.9
    # The network is so small that names and scales outweigh its weights.
    weights = onnx.load(str(folder / "model_int8.onnx")).graph.initializer
    kernels = [one for one in weights if len(one.dims) == 4]
    assert kernels and onnx.TensorProto.FLOAT not in {one.data_type for one in kernels}
    assert by_file["model_int8.tflite"].size_bytes < by_file["model.tflite"].size_bytes


def test_each_file_says_what_it_is(exported):
    folder, _ = exported
    for config in ALL:
        model = ExportedModel(str(folder / config.file))
        assert model.classes == small_models.CLASSES
        assert model.fit.image_size == (32, 32) and model.fit.fit == "stretch"
        assert model.card["quantize"] == config.quantize
        assert "RGB from 0 to 255" in model.card["input"]


def test_strangers_find_onnx_metadata(exported):
    model = onnx.load(str(exported[0] / "model_int8.onnx"))
    told = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(told["names"]) == {"0": "dark", "1": "light"}
    assert told["input_size"] == "32x32" and "0 to 255" in told["scaling"]
    assert [one.name for one in model.graph.input] == ["image"]
    onnx.checker.check_model(model)


def field(table, slot):
    """Place of a table's field, as the flatbuffers format has it."""
    return table.Pos + table.Offset(4 + 2 * slot)


def child(table, slot):
    return flatbuffers.table.Table(table.Bytes, table.Indirect(field(table, slot)))


def first(table, slot):
    return flatbuffers.table.Table(
        table.Bytes, table.Indirect(table.Vector(table.Offset(4 + 2 * slot)))
    )


def test_strangers_find_litert_metadata(exported):
    """Read by the slots of tflite-support@4d675b4 metadata_schema.fbs, not by what wrote it."""
    content = (exported[0] / "model_int8.tflite").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as attached:
        assert attached.read("labels.txt") == b"dark\nlight\n"
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
    (entry,) = [one for one in model.metadata if one.name == b"TFLITE_METADATA"]
    data = bytearray(model.buffers[entry.buffer].data.tobytes())
    assert data[4:8] == b"M001"
    root = flatbuffers.table.Table(
        data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
    )
    assert root.String(field(root, 0)) == b"segline"
    subgraph = first(root, 3)
    image = first(subgraph, 2)
    assert image.String(field(image, 0)) == b"image"
    properties = child(child(image, 3), 1)
    size = child(properties, 1)
    number = flatbuffers.number_types.Uint32Flags
    assert [size.Get(number, field(size, slot)) for slot in (0, 1)] == [32, 32]
    assert subgraph.VectorLen(subgraph.Offset(4 + 2 * 3)) == 2  # metadata of each output


@pytest.mark.parametrize("fit", ["pad", "tiles"])
def test_other_fits_are_counted_as_the_saved_model_counts(unhurried, saved, data, tmp_path, fit):
    wanted = [ExportConfig(format="litert"), ExportConfig(format="onnx")]
    folder = saved(fit)
    results = export_all(folder, data, wanted, "picture", str(tmp_path))
    for result in results:
        assert result.blessed and result.agreement >= 0.999
    if fit == "tiles":  # counted on windows, which no signature does
        assert ExportedModel(str(tmp_path / "model.onnx")).fit.fit == "tiles"
        return
    examples = list(tf.data.TFRecordDataset(data.evaluation_files, "GZIP").as_numpy_iterator())
    for at, signature in (("picture", "evaluate_at_picture"), ("model", "evaluate")):
        evaluate = tf.saved_model.load(folder).signatures[signature]
        matrix = evaluate(examples=tf.constant(examples))["confusion_matrix"].numpy().sum(0)
        found = (
            results if at == "picture" else export_all(folder, data, wanted[:1], at, str(tmp_path))
        )
        assert found[0].model_mean_iou == pytest.approx(confusion.mean_iou(matrix), abs=1e-12)


def test_a_refused_export_leaves_the_others_alone(unhurried, saved, square, tmp_path, monkeypatch):
    """One converter is made to give another network's file."""
    convert = exporting.convert
    taken = take_network(tf.saved_model.load(saved("stretch")), (32, 32))

    def spoilt(source, config, path):
        if config.format == "onnx":
            other = on_device(lambda images: -taken(images), (32, 32), 2)
            source = dataclasses.replace(source, module=other)
        convert(source, config, path)

    monkeypatch.setattr(exporting, "convert", spoilt)
    wanted = [ExportConfig(format="onnx"), ExportConfig(format="litert")]
    refused, blessed = export_all(saved("stretch"), square[0], wanted, "model", str(tmp_path))
    assert blessed.blessed and not refused.blessed
    drop = refused.model_mean_iou - refused.mean_iou
    assert drop > 0.3 and refused.agreement == 0
    assert f"is {drop:.4f} below the SavedModel's" in refused.reason
    assert "0.0100 is allowed" in refused.reason
    assert (refused.line()[0], blessed.line()[0]) == (False, True)


def test_what_a_converter_has_not_is_named(unhurried, network, data, tmp_path):
    bessel = keras.layers.Lambda(tf.math.bessel_i0e, name="bessel")
    model = keras.Model(network.inputs, bessel(network.outputs[0]))
    folder = small_models.save(model, tmp_path / "model")
    wanted = [ExportConfig(format="litert", quantize="int8"), ExportConfig(format="onnx")]
    (tmp_path / "exports").mkdir()
    for result in export_all(folder, data, wanted, "model", str(tmp_path / "exports")):
        assert not result.blessed and "tf.BesselI0e" in result.reason
        assert "\n" not in result.reason and len(result.reason) < 100
        assert math.isnan(result.mean_iou) and not result.sha256


def test_windows_that_no_picture_fills_are_no_judgement(unhurried, saved, tmp_path):
    small_models.write_examples(tmp_path / "small", [(20, 90), (64, 31)])
    data = Data([str(tmp_path / "small")], 2, [str(tmp_path / "small")])
    (tmp_path / "exports").mkdir()
    (result,) = export_all(
        saved("tiles"), data, [ExportConfig(format="litert")], "picture", str(tmp_path / "exports")
    )
    assert not result.blessed and "no picture of the evaluated split is as large" in result.reason


def test_results_are_read_back_as_they_were(tmp_path):
    result = ExportResult("model.onnx", "onnx", "none", reason="no", class_iou={"a": 0.5})
    write_result(result, str(tmp_path))
    found = read_result(str(tmp_path))
    assert dataclasses.replace(found, **dict.fromkeys(NUMBERS, 0)) == dataclasses.replace(
        result, **dict.fromkeys(NUMBERS, 0)
    )
    assert math.isnan(found.mean_iou)


NUMBERS = ("mean_iou", "agreement", "latency_ms", "model_mean_iou", "model_latency_ms", "max_drop")
