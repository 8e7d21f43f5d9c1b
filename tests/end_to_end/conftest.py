"""One small pipeline, run through the `tfx` command, that many tests look at.

Processes are forks of a server that has imported TFX (tests/support/forked.py), which saves
most of their time; those of `first_run` and what a test starts itself are real ones.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import database_servers
import forked
import pytest
import yaml

from components.evaluator import verdict

PROJECT = Path(__file__).resolve().parents[2]

TINY = {
    "name": "tiny",
    "dataset": {
        "name": "synthetic_pets",
        "splits": {"train": "train[:128]", "validation": "train[128:144]", "test": "test[:24]"},
        "features": {"example_id": "file_name", "slice_by": ["species"]},
    },
    "classes": {"values": {"pet": 1, "background": 2, "border": 3}},
    "transform": {"image_size": [32, 64]},
    "trainer": {
        # TensorFlow takes half a minute for a MobileNetV2: that is for test_own_data.py.
        "encoder": {"name": "keras_hub", "preset": "", "weights": "none"},
        "decoder": {"filters": [16, 16, 8, 8]},
        "class_weights": "balanced",
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 0.005,
        "sample_pictures": 2,
    },
    "evaluator": {
        "min_mean_iou": 0.0,
        "max_drop": 1.0,
        "max_slice_drop": 1.0,
        "min_slice_examples": 5,
        "object_size": {"classes": ["pet", "border"], "small_below": 0.3, "large_from": 0.4},
    },
}


@dataclasses.dataclass
class Workplace:
    """A working directory with a config, as a user has it."""

    folder: Path
    server: forked.Server
    created: str = ""  # what the two commands have shown
    ran: str = ""

    @property
    def root(self) -> Path:
        return self.folder / "runs" / "tiny"

    def environment(self, **overrides: str) -> dict[str, str]:
        binaries = str(Path(sys.executable).parent)
        inherited = {key: one for key, one in os.environ.items() if key != "PYTHONUNBUFFERED"}
        return {
            **inherited,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            # Where the `tfx` command keeps what it knows; `make` sets it to the project's own.
            "LOCAL_HOME": str(self.folder / "tfx" / "local"),
            "BEAM_HOME": str(self.folder / "tfx" / "beam"),
            "SEGLINE_CONFIG": str(self.folder / "tiny.yaml"),
            "PYTHONWARNINGS": "ignore",
            **overrides,
        }

    def start(self, *command: str, merged: bool = True, **overrides: str) -> forked.Process:
        """A process of `segline`, `tfx` or Python."""
        environment = self.environment(**overrides)
        return self.server.start([*command], self.folder, environment, merged=merged)

    def call(self, *command: str, **overrides: str) -> subprocess.CompletedProcess:
        process = self.start(*command, merged=False, **overrides)
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def really_call(self, *command: str, **overrides: str) -> subprocess.CompletedProcess:
        """The same by a process that begins with nothing imported."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**overrides),
            capture_output=True,
            text=True,
            timeout=forked.HANGS,
        )

    @staticmethod
    def run_command(runner: str = "local") -> list[str]:
        """What `tfx run create` does, without the 20 s of its own start-up."""
        return [sys.executable, str(PROJECT / "pipeline" / f"{runner}_runner.py")]

    def start_run(self, runner: str = "local", **overrides: str) -> forked.Process:
        return self.start(*self.run_command(runner), **overrides)

    def run(self, runner: str = "local", **overrides: str) -> subprocess.CompletedProcess:
        return self.call(*self.run_command(runner), **overrides)

    def outputs(self, key: str) -> list[Path]:
        """The folders of one output, "Evaluator/evaluation" for instance, oldest first."""
        folder = self.root / "artifacts" / key
        return sorted(folder.iterdir(), key=lambda path: int(path.name))

    def verdict(self, which: int = -1) -> verdict.Verdict:
        """Of the latest evaluation, or of another: 0 is the first."""
        return verdict.read_verdict(str(self.outputs("Evaluator/evaluation")[which]))

    @property
    def first_model(self) -> Path:
        """The earliest of the pushed ones."""
        return self.root / "serving" / min(name for name in self.served() if name.isdigit())

    def served(self) -> list[str]:
        serving = self.root / "serving"
        return sorted(os.listdir(serving)) if serving.is_dir() else []


@contextlib.contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Tells whether the folder is still to be filled; one process of the tests does it."""
    done = folder.with_suffix(".done")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            yield False
            return
        assert not folder.exists(), f"{folder.name} has failed in another process"
        folder.mkdir()
        yield True
        done.touch()


@pytest.fixture(scope="session")
def small_preset(common) -> Path:
    """A small VGG, as KerasHub writes it, without weights."""
    folder = common / "small-vgg"
    with made_once(folder) as missing:
        if missing:
            from keras_hub.models import VGGBackbone

            VGGBackbone(
                stackwise_num_repeats=[1, 1, 1, 1, 1],
                stackwise_num_filters=[16, 32, 48, 64, 96],
                image_shape=(32, 64, 3),
            ).save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="session")
def prepared_data(common) -> Path:
    """TFDS's own folder, with the data that the runs would prepare."""
    folder = common / "tensorflow_datasets"
    with made_once(folder) as missing:
        if missing:
            from components.datasets.synthetic_pets import SyntheticPets

            SyntheticPets(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="session")
def new_workplace(tmp_path_factory, fork_server, small_preset, prepared_data):
    """A workplace in which nothing has run yet, for tests that must be alone with theirs."""

    def make(name: str) -> Workplace:
        place = make_workplace(tmp_path_factory.mktemp(name), fork_server, small_preset)
        (place.folder / "tensorflow_datasets").symlink_to(prepared_data)
        return place

    return make


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory):
    if not database_servers.mariadb_path():
        pytest.skip("no MariaDB server here: infra/databases.sh installs it where it may")
    with database_servers.mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server():
    if not database_servers.postgres_folder():
        pytest.skip("no PostgreSQL server here: infra/databases.sh installs it where it may")
    with database_servers.postgres() as server:
        yield server


def make_workplace(folder: Path, server: forked.Server, preset: Path) -> Workplace:
    config = copy.deepcopy(TINY)
    config["trainer"]["encoder"]["preset"] = str(preset)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return Workplace(folder, server)


@pytest.fixture(scope="session")
def first_run(common, fork_server, small_preset):
    """The workplace after one run by the two commands of the documentation.

    There is one for all processes of the tests. test_run.py goes on with it; the others look
    at what came first.
    """
    folder, shown = common / "first-run", common / "first-run.json"
    with made_once(folder) as missing:
        if missing:
            place = make_workplace(folder, fork_server, small_preset)
            runner = str(PROJECT / "pipeline" / "local_runner.py")
            outputs = []
            for command in (
                ("pipeline", "create", "--engine=local", f"--pipeline_path={runner}"),
                ("run", "create", "--engine=local", "--pipeline_name=tiny"),
            ):
                result = place.really_call("tfx", *command)
                assert result.returncode == 0, result.stdout + result.stderr
                outputs.append(result.stdout)
            shown.write_text(json.dumps(outputs))
    place = Workplace(folder, fork_server)
    place.created, place.ran = json.loads(shown.read_text())
    return place
