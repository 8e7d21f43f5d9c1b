"""What Prometheus is told, read back by Prometheus's own parser."""

import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from recorded_runs import Store, evaluated

from components.common import run_record
from pipeline.running import open_metrics


@pytest.fixture
def numbers():
    """A good run, one whose model was refused, and one that has failed."""
    store = Store()
    data = {"train_set_aside": 3, "validation_set_aside": 0, "test_set_aside": 1}
    good = {
        "TfdsExampleGen": [("examples", "Examples", data)],
        "DriftValidator": [("anomalies", "ExampleAnomalies", {"drifted": 2})],
        "Evaluator": evaluated(0.75, 1, calibration_error=0.03125),
    }
    store.run("run-1", good, run_record.DONE)
    store.run("run-2", {"Evaluator": evaluated(0.5, 0)}, run_record.DONE)
    registry = open_metrics.registry("pets", lambda: store.store)
    return store, registry


def read(text):
    return {
        (sample.name, sample.labels.get("split")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["pipeline"] == "pets"
    }


def test_the_numbers(numbers):
    store, registry = numbers
    found = read(open_metrics.text(registry))
    assert found["segline_blessed_mean_iou", None] == 0.75
    assert found["segline_blessed_expected_calibration_error", None] == 0.03125
    assert found["segline_last_run_refused", None] == 1
    assert found["segline_last_run_failed", None] == 0
    assert found["segline_examples_set_aside", "train"] == 3
    assert found["segline_examples_set_aside", "validation"] == 0
    assert found["segline_drifted_features", None] == 2
    assert found["segline_last_run_duration_seconds", None] >= 0
    success = found["segline_last_success_timestamp_seconds", None]
    store.run("run-3", {"TfdsExampleGen": []}, run_record.FAILED)
    # The same registry: the numbers are those of the moment.
    found = read(open_metrics.text(registry))
    assert found["segline_last_run_failed", None] == 1
    assert found["segline_last_run_refused", None] == 0
    assert found["segline_last_success_timestamp_seconds", None] == success


def test_a_night_without_a_reason_to_train_went_well(numbers):
    """TFX knows no such run: its first task has recorded that nothing had changed."""
    store, registry = numbers
    before = read(open_metrics.text(registry))
    time.sleep(0.01)
    for name, outcome in (("pets", run_record.DONE), ("others", run_record.DONE)):
        night = run_record.begin(store.store, f"night of {name}", {"name": name}, "test")
        run_record.end(store.store, night, outcome)
    expected = run_record.read(store.store, ["night of pets"])["night of pets"].ended / 1000
    after = read(open_metrics.text(registry))
    success = "segline_last_success_timestamp_seconds", None
    assert after.pop(success) == expected > before.pop(success)
    assert after == before
    night = run_record.begin(store.store, "a bad night", {"name": "pets"}, "test")
    run_record.end(store.store, night, run_record.FAILED)
    assert read(open_metrics.text(registry))[success] == expected


def test_a_pipeline_that_has_not_run_has_no_numbers():
    store = Store()
    store.run("run-1", {"TfdsExampleGen": []}, run_record.DONE)
    assert read(open_metrics.text(open_metrics.registry("other", lambda: store.store))) == {}


def test_they_can_be_scraped_and_pushed(numbers):
    _, registry = numbers
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/metrics"
        with urllib.request.urlopen(address) as answer:
            assert "segline_blessed_mean_iou" in answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    pushed = {}

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self):
            pushed[self.path] = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        threading.Thread(target=gateway.handle_request, daemon=True).start()
        address = f"127.0.0.1:{gateway.server_address[1]}"
        prometheus_client.push_to_gateway(address, "segline", registry, {"pipeline": "pets"})
    assert "segline_blessed_mean_iou" in pushed["/metrics/job/segline/pipeline/pets"]
