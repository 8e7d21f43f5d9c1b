"""One small pipeline, run through the `tfx` command, that many tests look at."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import database_servers
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
        "encoder": {"weights": "none", "alpha": 0.35},
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

    def call(self, *command: str, **overrides: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**overrides),
            capture_output=True,
            text=True,
            timeout=600,
        )

    def run(self, runner: str = "local", **overrides: str) -> subprocess.CompletedProcess:
        """What `tfx run create` does, without the 20 s of its own start-up."""
        return self.call(
            sys.executable, str(PROJECT / "pipeline" / f"{runner}_runner.py"), **overrides
        )

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


@pytest.fixture(scope="session")
def new_workplace(tmp_path_factory):
    """A workplace in which nothing has run yet, for tests that must be alone with theirs."""
    return lambda name: make_workplace(tmp_path_factory.mktemp(name))


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


def make_workplace(folder: Path) -> Workplace:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    return Workplace(folder)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory):
    """The workplace after one run by the two commands of the documentation.

    There is one for all processes of the tests. test_run.py goes on with it; the others look
    at what came first.
    """
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    folder, done = common / "first-run", common / "first-run.json"
    with open(common / "first-run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            assert not folder.exists(), "the first run has failed in another process"
            folder.mkdir()
            place = make_workplace(folder)
            runner = str(PROJECT / "pipeline" / "local_runner.py")
            shown = []
            for command in (
                ("pipeline", "create", "--engine=local", f"--pipeline_path={runner}"),
                ("run", "create", "--engine=local", "--pipeline_name=tiny"),
            ):
                result = place.call("tfx", *command)
                assert result.returncode == 0, result.stdout + result.stderr
                shown.append(result.stdout)
            done.write_text(json.dumps(shown))
    place = Workplace(folder)
    place.created, place.ran = json.loads(done.read_text())
    return place
