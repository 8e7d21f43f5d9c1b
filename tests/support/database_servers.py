"""A real database server on loopback, for as long as a test session lasts."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd
from ports import free_port

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


def mariadb_path() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")


@contextlib.contextmanager
def mariadb(folder: Path, options: tuple[str, ...] = ()) -> Iterator[Server]:
    """MariaDB on a free port, with further options of the server."""
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
            # From 11.6.2 on: docs/how-to/kubeflow.md.
            "--loose-innodb-snapshot-isolation=OFF",
            *options,
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
        server.wait(timeout=600)


def _wait(ready) -> None:
    for _ in range(6000):  # ten minutes: a busy machine is no fault
        if ready():
            return
        time.sleep(0.1)
    raise TimeoutError("the database server did not start")


@dataclasses.dataclass
class PostgresServer:
    """A running server with a user `segline`."""

    port: int
    run: Callable[..., subprocess.CompletedProcess]

    def create(self, database: str) -> dict:
        """Makes a database; gives its `run.metadata` settings."""
        address = ["--host=127.0.0.1", f"--port={self.port}", "--username=postgres"]
        self.run("createdb", *address, "--owner=segline", database)
        return {
            "backend": "postgresql",
            "port": self.port,
            "database": database,
            "password": {"environment": "SEGLINE_TEST_PASSWORD"},
        }

    def query(self, database: str, sql: str) -> None:
        """Runs SQL as the owner of the tables."""
        address = ["--host=127.0.0.1", f"--port={self.port}", "--username=segline"]
        self.run("psql", *address, "-v", "ON_ERROR_STOP=1", "-c", sql, database)


def postgres_folder() -> Path | None:
    """Where the server's programs are; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = found[-1] if found else shutil.which("initdb")
    return Path(path).parent if path else None


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL on a free port; as the user `postgres` where we are root, whom it refuses."""
    port = free_port()
    programs = postgres_folder()
    account = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="segline-postgres-"))
    if account:
        shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [*account, str(programs / program), *arguments]
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD}
        return subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)

    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        run("initdb", f"-D{folder}/data", "-Upostgres", "-Ascram-sha-256", f"--pwfile={secret}")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        run("pg_ctl", f"-D{folder}/data", "-w", f"-l{folder}/log", f"-o{options}", "start")
        address = ["--host=127.0.0.1", f"--port={port}", "--username=postgres"]
        role = f"CREATE ROLE segline LOGIN PASSWORD '{PASSWORD}'"
        run("psql", *address, "-c", role)
        yield PostgresServer(port, run)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run("pg_ctl", f"-D{folder}/data", "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)
