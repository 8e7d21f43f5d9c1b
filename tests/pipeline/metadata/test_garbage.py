"""Which blessed models `segline gc` keeps. (What it removes: test_run_history.py.)"""

import os

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.config.loading import load_config
from pipeline.metadata import garbage
from pipeline.metadata.store import connection_config


@pytest.fixture
def config(tmp_path):
    return load_config("quickstart", {"SEGLINE__RUN__ROOT": str(tmp_path)})


@pytest.fixture
def store(config):
    """Three blessings of three executions."""
    os.makedirs(config.folder)
    store = MetadataStore(connection_config(config))
    kinds = {
        name: store.put_context_type(mlmd.ContextType(name=name))
        for name in ("pipeline", "pipeline_run", "node")
    }
    contexts = [
        mlmd.Context(type_id=kinds["pipeline"], name=config.name),
        mlmd.Context(type_id=kinds["node"], name=f"{config.name}.Evaluator"),
    ]
    contexts = store.get_contexts_by_id(store.put_contexts(contexts))
    blessing = store.put_artifact_type(mlmd.ArtifactType(name="ModelBlessing"))
    evaluator = store.put_execution_type(mlmd.ExecutionType(name="Evaluator"))
    for number in range(3):
        artifact = mlmd.Artifact(type_id=blessing, uri=f"/nowhere/{number}")
        artifact.custom_properties["blessed"].int_value = 1
        execution = mlmd.Execution(type_id=evaluator, last_known_state=mlmd.Execution.COMPLETE)
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        event.path.steps.add().key = "blessing"
        event.path.steps.add().index = 0
        store.put_execution(execution, [(artifact, event)], contexts)
    return store


@pytest.mark.parametrize(("keep", "expected"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (None, 3)])
def test_the_latest_blessed_models_are_kept(store, config, keep, expected):
    kept = garbage._kept(store, config, [], keep)
    every = sorted(artifact.id for artifact in store.get_artifacts())
    assert sorted(kept) == every[-expected:]
