"""Requests and answers as KServe's logger writes them, by its source."""

import base64
import json

# kserve/kserve pkg/logger/worker.go
REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"


def request_body(pictures, form="rows"):
    encoded = [{"b64": base64.b64encode(one).decode()} for one in pictures]
    return {
        "rows": {"instances": [{"image_bytes": one} for one in encoded]},
        "bare rows": {"signature_name": "serving_default", "instances": encoded},
        "columns": {"inputs": {"image_bytes": encoded}},
    }[form]


def response_body(out, form="rows"):
    """What TensorFlow Serving makes of it: tensorflow_serving/util/json_tensor.cc."""
    columns = {
        name: [
            {"b64": base64.b64encode(one).decode()} if name.endswith("_bytes") else one.tolist()
            for one in value
        ]
        for name, value in out.items()
    }
    if form == "columns":
        return {"outputs": columns}
    return {
        "predictions": [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    }


def event(kind, name, body, time="2026-08-21T19:26:03.123456789Z", **more):
    """As cloudevents/sdk-go v2/event/event_marshal.go writes it as JSON."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "http://localhost:9081/",
        "type": kind,
        "datacontenttype": "application/json",
        "time": time,
        "data": body,
        "component": "predictor",
        "endpoint": "default",
        "inferenceservicename": "pets",
        "metadata": "{}",
        "namespace": "default",
        "recordedtime": time,
        **more,
    }


def record(kind, name, body, **more):
    """kserve/kserve pkg/logger/types.go: LogRequest."""
    return {
        "url": {"Scheme": "s3", "Host": "logs", "Path": "/pets"},
        "bytes": base64.b64encode(json.dumps(body).encode()).decode(),
        "contentType": "application/json",
        "reqType": kind,
        "id": name,
        "inferenceService": "pets",
        "namespace": "default",
        "component": "predictor",
        "occurrenceTime": "2026-08-21T19:26:03.123456789+02:00",
        **more,
    }


def parquet_record(one):
    """kserve/kserve pkg/logger/marshaller_record.go: texts, and no time."""
    flat = {name: value for name, value in one.items() if name != "occurrenceTime"}
    empty = dict.fromkeys(("sourceUri", "endpoint", "metadata", "annotations", "certName"), "")
    return {**empty, **flat, "url": "s3://logs/pets", "tlsSkipVerify": False}


def write_lines(path, lines):
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    path.write_text(text + "\n")
    return [str(path)]
