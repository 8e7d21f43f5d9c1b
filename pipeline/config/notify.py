"""Who is told how a run has ended."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from components.common import schema
from pipeline.config.metadata import Secret

Event = Literal["failed", "refused", "pushed", "recovered", "drifted"]


class WebhookConfig(schema.Config):
    """An address that takes JSON over HTTP."""

    url: Secret = Field(description="where the address is found; whoever has it may post there")
    style: Literal["text", "card"] = Field(
        default="text",
        description='`text`: {"text": …}, for Slack and Mattermost; `card`: an Adaptive Card, for '
        "the workflows of Microsoft Teams",
    )


class EmailConfig(schema.Config):
    """Mail by SMTP."""

    host: str = Field(description="of the mail server")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="null: 587 for starttls, 465 for tls, 25 for none"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="how the connection is encrypted"
    )
    user: str | None = Field(default=None, description="null: no login")
    password: Secret | None = Field(default=None, description="where the user's password is found")
    sender: str = Field(description="address that the mail comes from")
    to: tuple[str, ...] = Field(min_length=1, description="addresses that it goes to")

    @pydantic.model_validator(mode="after")
    def _login(self) -> EmailConfig:
        if bool(self.user) != bool(self.password):
            raise ValueError("user, password: a login needs both")
        if self.user and self.security == "none":
            raise ValueError("security: a password is not sent unencrypted")
        return self


class NotifyConfig(schema.Config):
    """One receiver: a webhook, mail, or a command."""

    webhook: WebhookConfig | None = Field(default=None, description="JSON over HTTP")
    email: EmailConfig | None = Field(default=None, description="mail")
    command: tuple[str, ...] = Field(
        default=(), description="program and arguments; it gets the notice as JSON on its stdin"
    )
    events: tuple[Event, ...] = Field(
        default=("failed", "refused", "recovered", "drifted"),
        min_length=1,
        description="`failed`: a step has; `refused`: a new model was not blessed or can't be "
        "served; `pushed`: a new model is served; `recovered`: the run before had failed or was "
        "refused, this one is well; `drifted`: `segline watch --notify` has found that requests "
        "are no longer like the data of the served version",
    )

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> NotifyConfig:
        if sum(map(bool, (self.webhook, self.email, self.command))) != 1:
            raise ValueError("webhook, email, command: name one of them")
        return self
