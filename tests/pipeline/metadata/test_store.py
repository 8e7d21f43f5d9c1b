import subprocess
import sys
from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common.errors import UserError
from pipeline.config.loading import load_config
from pipeline.metadata.store import open_store, place


@pytest.fixture
def config(tmp_path):
    return load_config("quickstart", {"SEGLINE__RUN__ROOT": str(tmp_path)})


@pytest.fixture
def database(config, tmp_path):
    (tmp_path / "quickstart").mkdir()
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = place(config)
    store = MetadataStore(connection)
    type_id = store.put_context_type(mlmd.ContextType(name="thing"))
    store.put_contexts([mlmd.Context(type_id=type_id, name=str(n)) for n in range(200)])
    return place(config)


def test_no_run_yet(config):
    with pytest.raises(UserError, match="quickstart has not run yet: there is no .*metadata.db"):
        open_store(config)


def test_a_store_is_not_changed_by_reading(config, database):
    before = Path(database).read_bytes()
    assert len(open_store(config).get_contexts_by_type("thing")) == 200
    assert Path(database).read_bytes() == before


def test_a_writer_that_was_killed_half_way(config, database):
    """Its journal must be rolled back first, which a reader alone may not do."""
    script = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 2')\n"
        "database.execute('BEGIN')\n"
        "database.execute('UPDATE Context SET name = name || hex(randomblob(500))')\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, database]).returncode == 9
    assert Path(f"{database}-journal").stat().st_size
    names = {context.name for context in open_store(config).get_contexts_by_type("thing")}
    assert names == {str(number) for number in range(200)}


def test_a_file_that_is_no_store(config, database):
    Path(database).write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="metadata.db can't be read"):
        open_store(config)
