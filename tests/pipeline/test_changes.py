import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.changes import changes
from pipeline.config.loading import load_config


@pytest.mark.slow  # the quickstart's 600 pictures are drawn
def test_before_the_first_blessed_model_there_is_a_reason(tmp_path):
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = str(tmp_path / "metadata.db")
    connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    config = load_config("quickstart", {"SEGLINE__DATASET__DATA_DIR": str(tmp_path)})
    assert changes(MetadataStore(connection), config) == ["no model has been blessed yet"]
