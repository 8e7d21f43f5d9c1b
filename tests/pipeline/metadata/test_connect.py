"""ML Metadata on a server that is not ready, or that several processes come to at once."""

import subprocess
import sys

import database_servers
import pytest
from google.protobuf import text_format

OPEN = """
import sys
from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2 as mlmd
from pipeline.metadata import store
connection = text_format.Parse(sys.argv[1], mlmd.ConnectionConfig())
store.connection_config = lambda config: connection
store.place = lambda config: "the server"
print("ready", flush=True)
sys.stdin.readline()
print(len(store.connect(None).get_artifact_types()))
"""


@pytest.fixture
def server(tmp_path):
    if not database_servers.mariadb_path():
        pytest.skip("no MariaDB server here: infra/databases.sh installs it where it may")
    with database_servers.mariadb(tmp_path) as server:
        yield server


def opening(connection):
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, text_format.MessageToString(connection)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_first_runs_make_the_tables_and_a_database_may_come_late(server):
    """ML Metadata fails in one of them: "There are a subset of tables in MLMD instance"."""
    server.create("empty")
    processes = [opening(server.connection("empty")) for _ in range(3)]
    processes.append(opening(server.connection("late")))
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    # The libraries may have words of their own to say before.
    assert any("it is waited for" in line for line in processes[-1].stderr)
    server.create("late")
    for process in processes:
        output, errors = process.communicate(timeout=110)
        assert process.returncode == 0 and output.strip().isdigit(), errors
