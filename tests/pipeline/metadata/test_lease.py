"""One holder at a time, whatever becomes of the others."""

import threading
import time

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.metadata import lease
from pipeline.running.run_lock import step_lock


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """A store in a file; SQLite has one writer at a time, so each call waits its turn."""
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 0.1)
    turn = threading.Lock()

    class Store:
        def __init__(self):
            config = mlmd.ConnectionConfig()
            config.sqlite.filename_uri = str(tmp_path / "metadata.db")
            config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
            with turn:
                self._store = MetadataStore(config)

        def __getattr__(self, name):
            def call(*args):
                with turn:
                    return getattr(self._store, name)(*args)

            return call

    Store()
    return Store


def test_those_who_come_together_hold_it_one_after_the_other(connect):
    inside, most, done = [], [], []

    def work(number):
        for _ in range(3):
            with lease.lease(connect, "pets/Trainer", f"run {number}"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.03)
                inside.remove(number)
                done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 12 and max(most) == 1
    assert lease._latest(connect(), "pets/Trainer") == 12


def test_another_step_s_is_another(connect):
    with lease.lease(connect, "pets/Trainer", "a"), lease.lease(connect, "pets/Pusher", "b"):
        pass


def test_a_dead_holder_loses_it_and_a_living_one_does_not(connect, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(lease, "_LOST_AFTER_SECONDS", 1.0)
    lease._take(connect(), "pets/Trainer", "run dead")  # and never a beat
    start = time.monotonic()
    with lease.lease(connect, "pets/Trainer", "run next"):
        assert time.monotonic() - start > 1
        assert "taken for lost" in caplog.text
        got = []

        def want():
            with lease.lease(connect, "pets/Trainer", "run third"):
                got.append(time.monotonic())

        waiting = threading.Thread(target=want)
        waiting.start()
        time.sleep(2.5)  # more than twice as long as a dead one keeps it
        assert not got
        ended = time.monotonic()
    waiting.join()
    assert got and got[0] >= ended
    assert "waiting: pets/Trainer is held by run next" in caplog.text


def test_what_fails_inside_gives_it_back(connect):
    with pytest.raises(ZeroDivisionError), lease.lease(connect, "pets/Trainer", "a"):
        1 / 0  # noqa: B018
    with lease.lease(connect, "pets/Trainer", "b"):
        pass


def test_trainings_of_a_bucket_s_pipeline_wait_for_each_other(connect, caplog):
    """Other steps need not."""
    caplog.set_level("INFO")
    bucket = "gs://company/runs/pets"
    with step_lock(bucket, "Trainer", "1", connect), step_lock(bucket, "Evaluator", "2", connect):
        waiting = threading.Thread(
            target=lambda: step_lock(bucket, "Trainer", "2", connect).__enter__()
        )
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert "waiting: gs://company/runs/pets/Trainer is held by run 1" in caplog.text
    waiting.join(10)
    assert not waiting.is_alive()
