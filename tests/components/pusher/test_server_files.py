"""What servers read: TensorFlow Serving by labels, KServe with a canary."""

import random
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from serving_folders import change, loaded, push, served, server_config
from tensorflow_serving.config import model_server_config_pb2

from components.common.errors import UserError
from components.pusher import places, rollout, server_files
from components.pusher.config import RolloutConfig

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("no_disk")


class ModelServer:
    """What TensorFlow Serving does with its files, as far as it can lose an answer.

    tensorflow/serving@9d981c5 tensorflow_serving/model_servers/server_core.cc:
    UpdateModelVersionLabelMap, with --allow_version_labels_for_unavailable_models;
    sources/storage_path/file_system_storage_path_source.cc: AspireAllVersions. New versions are
    loaded before old ones are unloaded (AvailabilityPreservingPolicy).
    """

    def __init__(self, serving):
        self.serving, self.labels, self.available = serving, {}, set()
        self.poll_config()
        self.poll_versions()

    def poll_versions(self):
        self.available = set(loaded(self.serving))

    def poll_config(self):
        labels = server_config(self.serving)
        moved = {k: v for k, v in labels.items() if self.labels.get(k, v) != v}
        if set(moved.values()) <= self.available:
            self.labels = labels

    def answers(self, label):
        return self.labels[label] in self.available


@pytest.mark.parametrize("seed", range(2))
def test_a_server_by_labels_always_answers_and_follows(source, tmp_path, clock, seed):
    """Pushes and changes at any time; it polls its config every 20 s, the versions every 7 s."""
    draw = random.Random(seed)
    serving = tmp_path / "serving"
    clock[0] = 1.0
    push(source, serving, "1")
    push(source, serving, "2", "canary")
    server = ModelServer(serving)
    done = set()
    for second in range(3, 1500):
        clock[0] = float(second)
        if draw.random() < 0.02:
            known = rollout.read(str(serving))
            step, arguments = draw.choice(
                [
                    ("promoted", [known.now.canary or "0", ""]),
                    ("promoted", [draw.choice(places.known_versions(str(serving))), ""]),
                    ("rolled_back", [draw.choice(places.shown(str(serving))), ""]),
                ]
            )
            try:
                change(serving, step, *arguments)
                done.add(step)
            except UserError:
                push(source, serving, str(second), stage := draw.choice(["stable", "canary"]))
                done.add(stage)
        if second % 7 == 0:
            server.poll_versions()
        if second % 20 == 0:
            server.poll_config()
        assert server.answers("stable") and server.answers("canary"), second
    assert done == {"promoted", "rolled_back", "stable", "canary"}
    for _ in range(2):
        server.poll_versions()
        server.poll_config()
    now = rollout.read(str(serving)).now
    assert server.labels == {"stable": now.stable, "canary": now.canary or now.stable}
    assert served(serving) == now.stable


def test_the_inference_service_is_that_of_the_manifests():
    """And KServe's canary: pkg/apis/serving/v1beta1/component.go, canaryTrafficPercent."""
    manifest = ROOT / "infra/kubernetes/serving/kserve/inference-service.yaml"
    expected = yaml.safe_load(manifest.read_text())
    uri = expected["spec"]["predictor"]["model"]["storageUri"]
    server = RolloutConfig(storage_uri=uri, canary_percent=25)
    model = expected["spec"]["predictor"]["model"]
    # agent_injector.go: the label that its logger writes into events.
    expected["spec"]["predictor"]["labels"] = {"endpoint": "version-1001"}
    model |= {
        "storageUri": f"{uri}/rollout",
        "args": ["--model_config_file=/mnt/models/only-1001.config"],
    }
    assert yaml.safe_load(server_files.inference_service(server, "1001", "")) == expected
    model["args"] = ["--model_config_file=/mnt/models/only-1002.config"]
    expected["spec"]["predictor"]["labels"] = {"endpoint": "version-1002"}
    expected["spec"]["predictor"]["canaryTrafficPercent"] = 25
    assert yaml.safe_load(server_files.inference_service(server, "1001", "1002")) == expected


def test_a_revision_of_kserve_serves_one_version(source, tmp_path):
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    push(source, serving, "1002", "canary")
    for version in ("1001", "1002"):
        message = model_server_config_pb2.ModelServerConfig()
        text_format.Parse((serving / "rollout" / f"only-{version}.config").read_text(), message)
        (config,) = message.model_config_list.config
        assert list(config.model_version_policy.specific.versions) == [int(version)]
        assert config.base_path == "/mnt/models" and not config.version_labels
    assert not (serving / "inference-service.yaml").exists()
