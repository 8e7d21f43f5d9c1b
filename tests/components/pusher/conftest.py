"""A model to push, and a clock."""

import os

import pytest

from components.pusher import rollout, version_store


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets, in seconds."""
    time = [1000.0]
    for module in (rollout, version_store):
        monkeypatch.setattr(module.time, "time", lambda: time[0])
    return time


@pytest.fixture
def no_disk(monkeypatch):
    """Nothing here ends the system: what is written need not be on the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "0").write_bytes(b"weights")
    return str(folder)
