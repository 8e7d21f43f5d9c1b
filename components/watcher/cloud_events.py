"""What KServe's logger has written of requests and answers.

Two forms. A log's sink (an HTTP address) gets CloudEvents, and one that writes them as JSON lines
has the JSON format of the specification: attributes side by side, the body in `data` or
`data_base64` (kserve/kserve pkg/logger/worker.go; cloudevents/sdk-go v2/event/event_marshal.go). In
a bucket the logger itself writes records, one or a list of them in a file, the body in `bytes`
(pkg/logger/types.go, marshaller_json.go; the same as columns: marshaller_record.go).
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

# kserve/kserve pkg/logger/worker.go: CEInferenceRequest, CEInferenceResponse
_KINDS: dict[str, Literal["request", "response"]] = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
}


@dataclasses.dataclass(frozen=True)
class Event:
    """A request, or the answer to it.

    Attributes:
      id: what both have in common.
      kind: which of them.
      time: seconds since the epoch; None: it does not say.
      endpoint: label `endpoint` of the server's pod; may be empty.
      service: the InferenceService; may be empty.
      headers: HTTP headers that the logger was asked to keep, names in lower case.
      body: JSON.
    """

    id: str
    kind: Literal["request", "response"]
    time: float | None
    endpoint: str
    service: str
    headers: Mapping[str, str]
    body: Any


def parse_text(text: str) -> Iterator[Event | str]:
    """Reads one record, or a list of them: each, or why it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        yield "no JSON"
        return
    for one in found if isinstance(found, list) else [found]:
        try:
            yield parse(one)
        except ValueError as error:
            yield str(error)


def parse(record: Any) -> Event:
    """Reads one CloudEvent, or one record of the logger's own.

    Raises:
      ValueError: it is neither; says why.
    """
    if not isinstance(record, dict):
        raise ValueError("no CloudEvent")
    kind = _KINDS.get(_text(record.get("type", record.get("reqType"))))
    if kind is None:
        raise ValueError("neither a request nor a response of KServe's logger")
    name = _text(record.get("id"))
    if not name:
        raise ValueError("no id")
    try:
        body = _body(record)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError("a body that is no JSON") from error
    return Event(
        id=name,
        kind=kind,
        time=_seconds(_text(record.get("time") or record.get("occurrenceTime"))),
        endpoint=_text(record.get("endpoint")),
        service=_text(record.get("inferenceservicename", record.get("inferenceService"))),
        headers=_headers(record.get("metadata")),
        body=body,
    )


def _body(record: Mapping[str, Any]) -> Any:
    for key in ("data_base64", "bytes"):
        if key in record:
            return json.loads(base64.b64decode(record[key], validate=True))
    data = record.get("data")
    return json.loads(data) if isinstance(data, str) else data


def _text(value: Any) -> str:
    """A value that is to be a text; of what UTF-8 can't have it has question marks."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _seconds(text: str) -> float | None:
    try:
        time = datetime.datetime.fromisoformat(text)
        return time.timestamp() if time.year > 1 else None  # Go's zero
    except (ValueError, OverflowError):
        return None


def _headers(metadata: Any) -> dict[str, str]:
    """From `{"Species": ["cat"]}`, in an event as text."""
    try:
        found = json.loads(metadata) if isinstance(metadata, str) and metadata else metadata
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name.lower(): _text(values[0])
        for name, values in found.items()
        if isinstance(values, list) and values
    }
