"""What TensorFlow Serving is sent: warm-up and the guide's clients, by its own protos."""

import base64
import contextlib
import http.server
import io
import json
import re
import threading
from concurrent import futures
from pathlib import Path
from unittest import mock

import grpc
import numpy as np
import pytest
import small_models
import tensorflow as tf
from PIL import Image
from small_training import SMALL, small_encoder
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from components.common import band_tensors
from components.common.bands import BandsConfig
from components.common.model_card import write_card
from components.common.served_model import ServedModel
from components.pusher import component, warmup
from components.trainer import unet
from components.trainer.config import TrainerConfig

GUIDE = Path(__file__).resolve().parents[3] / "docs/how-to/serve.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SavedModel of segline's; what it predicts is no matter here."""
    config = TrainerConfig.model_validate(SMALL)
    with mock.patch.object(unet, "build_encoder", small_encoder):
        network = unet.build_unet(2, small_models.SIZE, config.encoder, config.decoder)
    return small_models.save(network, tmp_path_factory.mktemp("small") / "model")


def requests(version):
    """As the server reads them: saved_model_warmup_util.cc, RunSavedModelWarmupUntracked."""
    path = Path(version) / "assets.extra" / "tf_serving_warmup_requests"
    found = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        found.append(log.predict_log.request)
    return found


def pictures_of(request):
    assert list(request.inputs) == ["image_bytes"]
    assert request.inputs["image_bytes"].dtype == tf.string.as_datatype_enum
    return tf.make_ndarray(request.inputs["image_bytes"]).tolist()


def answer(model, request):
    """As the server answers: predict_util.cc, RunPredict, on the signature that is named."""
    loaded = tf.saved_model.load(model)
    serve = loaded.signatures[request.model_spec.signature_name or "serving_default"]
    outputs = serve(**{k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()})
    wanted = request.output_filter or list(outputs)
    return {name: outputs[name].numpy() for name in wanted}


def test_drawn_pictures_warm_up_both_decoders(model, tmp_path):
    component.push(model, str(tmp_path), "7", warm_up=warmup.drawn_pictures(model))
    found = requests(tmp_path / "7")
    assert [len(pictures_of(one)) for one in found] == [1, 1, 2]
    forms = [Image.open(io.BytesIO(one)) for one in pictures_of(found[2])]
    assert [form.format for form in forms] == ["JPEG", "PNG"]
    assert {form.size for form in forms} == {(64, 64)}  # twice what the network sees
    for one in found:
        assert one.model_spec.signature_name == "serving_default"
        masks = answer(str(tmp_path / "7"), one)["mask_png_bytes"]
        assert {Image.open(io.BytesIO(mask)).size for mask in masks} == {(64, 64)}
    assert warmup.drawn_pictures(model) == warmup.drawn_pictures(model)


@pytest.mark.parametrize(
    ("count", "depth", "forms"), [(4, "uint8", 2), (5, "uint16", 1), (2, "float32", 1)]
)
def test_drawn_pictures_have_the_bands_that_the_model_sees(tmp_path, count, depth, forms):
    bands = BandsConfig(count=count, depth=depth)
    card = {"image_size": [32, 64], "bands": bands.model_dump(mode="json")}
    write_card(str(tmp_path), small_models.CLASSES, card)
    drawn = warmup.drawn_pictures(str(tmp_path))
    pixels = [band_tensors.decode(tf.constant(one), bands).numpy() for one in drawn]
    assert len(pixels) == forms
    for one in pixels:
        assert one.shape == (64, 128, count) and one.dtype == depth
        np.testing.assert_array_equal(one, pixels[0])
        assert one.std() > 0


def test_pictures_of_a_split_are_sent_as_they_are(model, tmp_path):
    file = tmp_path / "examples.gz"
    pairs = small_models.write_examples(file, [(20 + n, 30) for n in range(10)])
    component.push(model, str(tmp_path / "s"), "7", warm_up=warmup.split_pictures([str(file)]))
    found = requests(tmp_path / "s/7")
    expected = [small_models.png(picture) for picture, _ in pairs[:8]]
    assert [pictures_of(one) for one in found] == [*([one] for one in expected), expected]
    answer(model, found[-1])


def test_a_warm_up_keeps_to_the_models_limits(tmp_path):
    """A server does not load a version whose warm-up fails."""
    write_card(str(tmp_path), small_models.CLASSES, {"max_megabytes": 1})
    large, small, smaller = (bytes(size) for size in (1_000_001, 600_000, 400_000))
    warmup.write_requests(str(tmp_path), [large, small, smaller, b"last"])
    sent = [[small], [smaller], [b"last"], [small, smaller]]
    assert [pictures_of(one) for one in requests(tmp_path)] == sent


def test_nothing_is_written_where_nothing_is_asked_for(model, tmp_path):
    assert component.warm_up_pictures({}, model, []) == ()
    component.push(model, str(tmp_path), "7")
    assert not (tmp_path / "7/assets.extra/tf_serving_warmup_requests").exists()
    assert (tmp_path / "7/assets.extra/segline.json").exists()


class Rest(http.server.BaseHTTPRequestHandler):
    """tensorflow/serving@9d981c5 g3doc/api_rest.md: the row format, binary values as b64."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/models/segline:predict"
        (instance,) = asked["instances"]
        assert set(instance) == {"b64"}
        request = predict_pb2.PredictRequest()
        picture = base64.b64decode(instance["b64"], validate=True)
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([picture]))
        found = answer(self.server.model, request)
        row = {
            name: {"b64": base64.b64encode(value[0]).decode()}
            if name.endswith("_bytes")
            else value[0].tolist()
            for name, value in found.items()
        }
        body = json.dumps({"predictions": [row]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model):
        self.model, self.asked = model, []

    def Predict(self, request, context):
        self.asked.append(request)
        response = predict_pb2.PredictResponse()
        for name, value in answer(self.model, request).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@contextlib.contextmanager
def rest_server(model):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest) as server:
        server.model = model
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def client(what):
    """The guide's Python code that has something in it."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    (code,) = (block for block in blocks if what in block)
    return code


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(3).integers(0, 255, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save("photo.jpg")
    return Path("photo.jpg").read_bytes()


def test_the_guides_rest_client_gets_the_mask(model, photo):
    with rest_server(model) as port:
        exec(client("urllib.request").replace("localhost:8501", f"127.0.0.1:{port}"), {})
    assert Path("mask.png").read_bytes() == ServedModel(model).predict([photo])[0].mask_png


def test_the_guides_grpc_client_gets_the_mask_and_no_more(model, photo):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service = Grpc(model)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        exec(client("prediction_service").replace("localhost:8500", f"127.0.0.1:{port}"), {})
    finally:
        server.stop(None)
    assert Path("mask.png").read_bytes() == ServedModel(model).predict([photo])[0].mask_png
    (asked,) = service.asked
    assert asked.model_spec.name == "segline"
    assert list(asked.output_filter) == ["mask_png_bytes", "confidence"]
