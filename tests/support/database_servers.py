"""A real database server on loopback, for as long as a test session lasts."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd

PASSWORD = "not-a-secret-1"


@dataclasses.dataclass
class Server:
    """A running server with a user `segline`; each database is made by `create`."""

    port: int
    folder: Path

    def create(self, database: str) -> dict:
        """Makes a database; gives its `run.metadata` settings."""
        run_sql = [
            *("mariadb", f"--socket={self.folder}/socket", "--user=root", "-e"),
            f"CREATE DATABASE {database}; GRANT ALL ON {database}.* TO segline@'%';",
        ]
        subprocess.run(run_sql, check=True, capture_output=True)
        return {
            "backend": "mysql",
            "port": self.port,
            "database": database,
            "password": {"environment": "SEGLINE_TEST_PASSWORD"},
        }

    def connection(self, database: str) -> mlmd.ConnectionConfig:
        """How ML Metadata is connected with one."""
        config = mlmd.ConnectionConfig()
        config.mysql.host, config.mysql.port = "127.0.0.1", self.port
        config.mysql.database = database
        config.mysql.user, config.mysql.password = "segline", PASSWORD
        return config


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def mariadb_path() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[Server]:
    """MariaDB on a free port."""
    port = free_port()
    user = f"--user={getpass.getuser()}"
    data = f"--datadir={folder}/data"
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            data,
            user,
            "--auth-root-authentication-method=normal",
        ],
        check=True,
        capture_output=True,
    )
    server = subprocess.Popen(
        [
            *(mariadb_path(), "--no-defaults", data, user, f"--port={port}"),
            # Its anonymous user of localhost would come before ours.
            *("--bind-address=127.0.0.1", "--skip-name-resolve", f"--socket={folder}/socket"),
            f"--pid-file={folder}/pid",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = ["mariadb", f"--socket={folder}/socket", "--user=root", "-e"]
    try:
        _wait(lambda: subprocess.run([*client, "SELECT 1"], capture_output=True).returncode == 0)
        create = f"CREATE USER segline@'%' IDENTIFIED BY '{PASSWORD}'"
        subprocess.run([*client, create], check=True, capture_output=True)
        yield Server(port, folder)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(ready) -> None:
    for _ in range(300):
        if ready():
            return
        time.sleep(0.1)
    raise TimeoutError("the database server did not start")
