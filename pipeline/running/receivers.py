"""Carries notices to their receivers. One that can't be reached never fails a run."""

from __future__ import annotations

import email.message
import json
import logging
import smtplib
import ssl
import subprocess
from collections.abc import Iterable
from typing import Any

import requests

from components.common.errors import UserError
from pipeline.config.notify import EmailConfig, NotifyConfig, WebhookConfig
from pipeline.running.notices import Notice

_LOG = logging.getLogger("segline")
_PATIENCE_SECONDS = 15.0
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def tell(receivers: Iterable[NotifyConfig], notice: Notice) -> None:
    """Sends a notice to those who want to hear of one of its events.

    Args:
      receivers: from the config.
      notice: what there is to tell.
    """
    for receiver in receivers:
        if not set(receiver.events) & set(notice.events):
            continue
        try:
            _send(receiver, notice)
        except Exception as error:
            # Not the exception's own text where it could hold the address, which is a secret.
            _LOG.warning("%s could not be told: %s", _name(receiver), _reason(error))
        else:
            _LOG.info("%s was told: %s", _name(receiver), notice.title())


def _send(receiver: NotifyConfig, notice: Notice) -> None:
    if receiver.webhook:
        _post(receiver.webhook, notice)
    elif receiver.email:
        _mail(receiver.email, notice)
    else:
        subprocess.run(
            receiver.command,
            input=json.dumps(notice.as_dict()),
            text=True,
            check=True,
            timeout=_PATIENCE_SECONDS,
        )


def _post(config: WebhookConfig, notice: Notice) -> None:
    body = {"text": notice.text()} if config.style == "text" else _card(notice)
    response = requests.post(config.url.read(), json=body, timeout=_PATIENCE_SECONDS)
    response.raise_for_status()


def _card(notice: Notice) -> dict[str, Any]:
    """An Adaptive Card in a message, as the workflows of Microsoft Teams take it."""
    title, *lines = notice.text().splitlines()
    blocks = [{"type": "TextBlock", "text": title, "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": line, "wrap": True} for line in lines]
    content = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


def _mail(config: EmailConfig, notice: Notice) -> None:
    message = email.message.EmailMessage()
    message["Subject"], message["From"] = notice.title(), config.sender
    message["To"] = ", ".join(config.to)
    message.set_content(notice.text())
    port = config.port or _PORTS[config.security]
    context = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(config.host, port, timeout=_PATIENCE_SECONDS, context=context)
        if config.security == "tls"
        else smtplib.SMTP(config.host, port, timeout=_PATIENCE_SECONDS)
    )
    with server:
        if config.security == "starttls":
            server.starttls(context=context)
        if config.user and config.password:
            server.login(config.user, config.password.read())
        server.send_message(message)


def _name(receiver: NotifyConfig) -> str:
    if receiver.webhook:
        secret = receiver.webhook.url
        return f"the webhook in {secret.environment or secret.file}"
    if receiver.email:
        return f"{', '.join(receiver.email.to)} by {receiver.email.host}"
    return receiver.command[0]


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "nobody answers there"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    if isinstance(error, (UserError, OSError, smtplib.SMTPException)):
        return str(error)
    return type(error).__name__
