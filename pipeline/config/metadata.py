"""Where ML Metadata is kept."""

from __future__ import annotations

import os
from typing import Literal

import pydantic
from pydantic import Field

from components.common import schema
from components.common.errors import UserError


class Secret(schema.Config):
    """Where a secret is to be found when it is needed; never the secret itself."""

    environment: str | None = Field(default=None, description="name of an environment variable")
    file: str | None = Field(default=None, description="path of a file that holds nothing else")

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> Secret:
        if bool(self.environment) == bool(self.file):
            raise ValueError("name either an environment variable or a file")
        return self

    def read(self) -> str:
        """The secret.

        Raises:
          UserError: it is not there.
        """
        if self.environment:
            value = os.environ.get(self.environment)
            if value is None:
                raise UserError(f"the environment variable {self.environment} is not set")
            return value
        try:
            with open(os.path.expanduser(self.file or ""), encoding="utf-8") as file:
                return file.read().strip()
        except OSError as error:
            raise UserError(f"the secret {self.file} can't be read: {error.strerror}") from error


class TlsConfig(schema.Config):
    """How the connection to the database's server is encrypted. All are paths, in PEM."""

    ca: str = Field(description="certificate authority that has signed the server's certificate")
    cert: str | None = Field(default=None, description="certificate of this client, if asked for")
    key: str | None = Field(default=None, description="the key of that certificate")

    @pydantic.model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert, key: one needs the other")
        return self


class MetadataConfig(schema.Config):
    """ML Metadata's database."""

    backend: Literal["sqlite", "mysql", "postgresql"] = Field(
        default="sqlite",
        description="`sqlite`: a file in the pipeline's folder, for one machine; `mysql` (or "
        "MariaDB) and `postgresql`: a server, for several",
    )
    host: str = Field(default="127.0.0.1", description="of the server; not for sqlite")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="of the server; null: its kind's usual one"
    )
    database: str = Field(
        default="segline", description="on the server; pipelines may share it. It must exist"
    )
    user: str = Field(default="segline", description="on the server")
    password: Secret | None = Field(
        default=None, description="where the user's password is found; null: none is needed"
    )
    tls: TlsConfig | None = Field(
        default=None,
        description="encrypted. PostgreSQL's certificate must be right too; ML Metadata's client "
        "for MySQL can't check it. null: as the server likes it",
    )
