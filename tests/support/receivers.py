"""Real receivers of notices on loopback: one that takes JSON over HTTP, one that takes mail."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook(ThreadingHTTPServer):
    """Keeps what is posted to it.

    Attributes:
      bodies: the JSON bodies, in order.
      status: what it answers with.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _WebhookHandler)
        self.bodies: list[dict] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/secret-path"

    def __exit__(self, *arguments) -> None:
        self.shutdown()
        super().__exit__(*arguments)


class _WebhookHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments) -> None:
        """Quiet."""


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP (RFC 5321) as a mail needs; keeps (sender, receivers, message)."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.mails: list[tuple[str, list[str], str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __exit__(self, *arguments) -> None:
        self.shutdown()
        super().__exit__(*arguments)


class _MailHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 here")
        sender, receivers = "", []
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].split()[0].upper()
            if verb == "QUIT":
                return self._say("221 bye")
            if verb == "MAIL":
                sender = line.split("<")[1].split(">")[0]
            elif verb == "RCPT":
                receivers.append(line.split("<")[1].split(">")[0])
            elif verb == "DATA":
                self._say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                self.server.mails.append((sender, receivers, "\n".join(lines)))
            self._say("250 well")
        return None

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
