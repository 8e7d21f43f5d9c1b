"""Real database servers on loopback, for as long as a test session lasts."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "not-a-secret-1"


@dataclasses.dataclass
class Server:
    """A running server with a user `segline`; each database is made by `create`."""

    backend: str
    port: int
    folder: Path

    def create(self, database: str) -> dict:
        """Makes a database; gives its `run.metadata` settings."""
        if self.backend == "mysql":
            run_sql = [
                *("mariadb", f"--socket={self.folder}/socket", "--user=root", "-e"),
                f"CREATE DATABASE {database}; GRANT ALL ON {database}.* TO segline@'%';",
            ]
        else:
            run_sql = [
                *(f"{postgres_folder()}/psql", "-h", str(self.folder), "-p", str(self.port)),
                *("-U", "admin", "-d", "postgres", "-c"),
                f"CREATE DATABASE {database} OWNER segline",
            ]
        subprocess.run(run_sql, check=True, capture_output=True)
        return {
            "backend": self.backend,
            "port": self.port,
            "database": database,
            "password": {"environment": "SEGLINE_TEST_PASSWORD"},
        }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def mariadb_path() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")


def postgres_folder() -> str | None:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return found[-1] if found else None


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
        yield Server("mysql", port, folder)
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """PostgreSQL on a free port; it refuses to run as root, so then as somebody else."""
    port = free_port()
    options = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        for parent in folder.parents:  # pytest keeps its folders to itself
            if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    binaries = postgres_folder()
    subprocess.run(
        [
            f"{binaries}/initdb",
            "-D",
            f"{folder}/data",
            "-U",
            "admin",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **options,
    )
    server = subprocess.Popen(
        [
            *(f"{binaries}/postgres", "-D", f"{folder}/data", "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-k", str(folder)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **options,
    )
    client = [
        *(f"{binaries}/psql", "-h", str(folder), "-p", str(port), "-U", "admin", "-d", "postgres"),
        "-c",
    ]
    try:
        _wait(lambda: subprocess.run([*client, "SELECT 1"], capture_output=True).returncode == 0)
        create = f"CREATE USER segline PASSWORD '{PASSWORD}'"
        subprocess.run([*client, create], check=True, capture_output=True)
        yield Server("postgresql", port, folder)
    finally:
        server.send_signal(signal.SIGINT)  # without waiting for clients
        server.wait(timeout=30)


def _wait(ready) -> None:
    for _ in range(300):
        if ready():
            return
        time.sleep(0.1)
    raise TimeoutError("the database server did not start")
