"""A server that speaks Kubeflow Pipelines' v2beta1 API over real HTTP.

It keeps experiments, runs and recurring runs, and refuses what the API's own definitions
(those of kfp-server-api) don't have. Failures are put in by path.
"""

from __future__ import annotations

import datetime
import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kfp_server_api

API = "/apis/v2beta1"
MODELS = {
    "experiments": kfp_server_api.V2beta1Experiment,
    "runs": kfp_server_api.V2beta1Run,
    "recurringruns": kfp_server_api.V2beta1RecurringRun,
}
IDS = {"experiments": "experiment_id", "runs": "run_id", "recurringruns": "recurring_run_id"}
PLURALS = {"experiments": "experiments", "runs": "runs", "recurringruns": "recurringRuns"}


def check(body: dict, model: type, where: str = "") -> None:
    """Raises where a body has a field or a type that the API's definition has not."""
    known = {wire: name for name, wire in model.attribute_map.items()}
    for key, value in body.items():
        if key not in known:
            raise ValueError(f"{where}{model.__name__} has no field {key!r}")
        kind = model.openapi_types[known[key]]
        inner = getattr(kfp_server_api, kind, None)
        if isinstance(inner, type) and hasattr(inner, "attribute_map") and inner.attribute_map:
            if not isinstance(value, dict):
                raise ValueError(f"{where}{key} must be a {kind}")
            check(value, inner, f"{where}{key}.")
        elif inner is not None and hasattr(inner, "allowable_values"):
            if value not in inner.allowable_values:
                raise ValueError(f"{where}{key}: {value!r} is none of {inner.allowable_values}")
        elif kind == "bool" and not isinstance(value, bool):
            raise ValueError(f"{where}{key} must be a bool")


class Server(ThreadingHTTPServer):
    """The server; `store` holds what it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store: dict[str, dict[str, dict]] = {name: {} for name in MODELS}
        self.requests: list[tuple[str, str]] = []
        self.failures: dict[str, int] = {}  # "POST runs" -> HTTP status; 0: cut; -1: no answer
        self.token: str | None = None
        self.problems: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Routes by method and path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Quiet."""

    def handle_method(self) -> None:
        """One request."""
        url = urllib.parse.urlparse(self.path)
        path = url.path.removeprefix(API).strip("/")
        kind, _, rest = path.partition("/")
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}")
        self.server.requests.append((self.command, path))
        failure = self.server.failures.get(f"{self.command} {kind}")
        if failure is not None:
            if failure < 0:
                time.sleep(5)
            if failure <= 0:
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
            return self.answer({"message": "as the test wants it"}, failure)
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer({"message": "who are you?"}, 401)
        if kind == "healthz":
            return self.answer({"multi_user": False})
        if kind not in MODELS:
            return self.answer({"message": f"no such path {path}"}, 404)
        things = self.server.store[kind]
        identity, _, verb = rest.partition(":")
        if self.command == "POST" and not rest:
            return self.create(kind, body)
        if self.command == "GET" and not rest:
            return self.list(kind, urllib.parse.parse_qs(url.query))
        if identity not in things:
            return self.answer({"message": f"{kind} {identity} not found"}, 404)
        if self.command == "DELETE":
            del things[identity]
            if kind == "recurringruns":
                # Its workflows are its own, and go with it (kubeflow/pipelines@2.16.0
                # backend/src/apiserver/resource/resource_manager.go:1469, no propagation policy).
                runs = self.server.store["runs"]
                for run in [
                    name for name in runs if runs[name].get("recurring_run_id") == identity
                ]:
                    del runs[run]
        elif verb == "terminate":
            things[identity]["state"] = "CANCELING"
        elif verb in ("enable", "disable"):
            things[identity]["status"] = f"{verb}d".upper()
        return self.answer(things.get(identity, {}))

    do_GET = do_POST = do_DELETE = handle_method

    def create(self, kind: str, body: dict) -> None:
        """Keeps a new thing, if the API's definition knows all that is said of it."""
        try:
            check(body, MODELS[kind])
        except ValueError as error:
            self.server.problems.append(str(error))
            return self.answer({"message": str(error)}, 400)
        identity = f"{kind[:3]}-{len(self.server.requests)}"
        now = datetime.datetime.now(datetime.UTC).isoformat()
        thing = {**body, IDS[kind]: identity, "created_at": now}
        if kind == "recurringruns":
            thing["status"] = "DISABLED" if body.get("mode") == "DISABLE" else "ENABLED"
        elif kind == "runs":
            thing["state"] = "PENDING"
        self.server.store[kind][identity] = thing
        return self.answer(thing)

    def list(self, kind: str, query: dict) -> None:
        """Lists two at a time, so that pages are read."""
        found = list(self.server.store[kind].values())
        if experiment := query.get("experiment_id"):
            found = [thing for thing in found if thing.get("experiment_id") == experiment[0]]
        if condition := query.get("filter"):
            (predicate,) = json.loads(condition[0])["predicates"]
            name = predicate.get("string_value") or predicate.get("stringValue")
            found = [thing for thing in found if thing["display_name"] == name]
        start = int((query.get("page_token") or ["0"])[0] or 0)
        answer = {PLURALS[kind]: found[start : start + 2]}
        if start + 2 < len(found):
            answer["next_page_token"] = str(start + 2)
        return self.answer(answer)

    def answer(self, body: dict, status: int = 200) -> None:
        """Sends JSON."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
