"""ML Metadata on a real MariaDB server, with several processes at once."""

import json
import time
from pathlib import Path

import database_servers
import ports
import yaml

PROJECT = Path(__file__).resolve().parents[2]
PASSWORD = {"SEGLINE_TEST_PASSWORD": database_servers.PASSWORD}


def write_config(place, name, metadata):
    """A workplace's config under another name, with its metadata on a server."""
    config = yaml.safe_load((place.folder / "tiny.yaml").read_text())
    config["name"] = name
    config["trainer"]["epochs"] = 1
    config["run"] = {"metadata": metadata}
    path = place.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return str(path)


def test_two_pipelines_and_readers_at_the_same_time(first_run, mariadb_server):
    metadata = mariadb_server.create("shared")
    names = [f"shared_{letter}" for letter in "ab"]
    configs = [write_config(first_run, name, metadata) for name in names]
    # ML Metadata fails where two processes make its tables at the same moment.
    made = first_run.call("segline", "lineage", "runs", SEGLINE_CONFIG=configs[0], **PASSWORD)
    assert made.returncode == 0, made.stderr
    runs = [first_run.start_run(SEGLINE_CONFIG=config, **PASSWORD) for config in configs]
    seen = set()
    while any(run.poll() is None for run in runs):
        for config in configs:
            asked = first_run.call(
                "segline", "lineage", "runs", "--json", SEGLINE_CONFIG=config, **PASSWORD
            )
            assert asked.returncode == 0, asked.stderr
            seen |= {run["state"] for run in json.loads(asked.stdout)}
        time.sleep(5)  # readers that never pause would take most of the machine
    for run in runs:
        output, _ = run.communicate()
        assert run.returncode == 0, output
    assert "running" in seen
    for name, config in zip(names, configs, strict=True):
        asked = first_run.call(
            "segline", "lineage", "runs", "--json", SEGLINE_CONFIG=config, **PASSWORD
        )
        (run,) = json.loads(asked.stdout)  # its own only
        assert run["state"] == "done" and run["verdict"] == "pushed"
        assert set(run["steps"].values()) == {"done"} and len(run["steps"]) == 11
        asked = first_run.call(
            "segline", "lineage", "model", "--json", SEGLINE_CONFIG=config, **PASSWORD
        )
        assert f"/runs/{name}/serving/" in json.loads(asked.stdout)["pushes"][0]["destination"]


def test_a_server_that_can_not_be_used_is_one_clear_line(first_run, mariadb_server):
    metadata = mariadb_server.create("empty")
    config = write_config(first_run, "nowhere", metadata)

    def ask(**environment):
        done = first_run.call("segline", "lineage", "runs", SEGLINE_CONFIG=config, **environment)
        assert done.returncode == 1 and database_servers.PASSWORD not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    assert "the environment variable SEGLINE_TEST_PASSWORD is not set" in ask()
    place = f"mysql://segline@127.0.0.1:{mariadb_server.port}/empty"
    assert f"ML Metadata at {place} can't be read: " in ask(SEGLINE_TEST_PASSWORD="wrong")
    port = ports.free_port()
    assert f":{port}/empty can't be read: " in ask(
        SEGLINE__RUN__METADATA__PORT=str(port), **PASSWORD
    )


def test_a_run_on_postgresql_and_its_lineage(first_run, postgres_server):
    """ML Metadata itself fails there on backslashes, of which the settings are full."""
    metadata = postgres_server.create("segline")
    config = write_config(first_run, "elephant", metadata)
    made = first_run.call("segline", "lineage", "runs", SEGLINE_CONFIG=config, **PASSWORD)
    assert made.returncode == 0, made.stderr
    postgres_server.query("segline", (PROJECT / "infra/postgresql/large-values.sql").read_text())
    ran = first_run.run(SEGLINE_CONFIG=config, **PASSWORD)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert database_servers.PASSWORD not in ran.stdout + ran.stderr

    def ask(*question):
        done = first_run.call("segline", "lineage", *question, SEGLINE_CONFIG=config, **PASSWORD)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (run,) = json.loads(ask("runs", "--json"))
    assert (run["state"], run["verdict"]) == ("done", "pushed")
    settings = json.loads(ask("model", "--json"))["training"]["settings"]
    pushed = first_run.first_model.name
    local = json.loads(first_run.call("segline", "lineage", "model", pushed, "--json").stdout)
    assert settings == local["training"]["settings"] | {"epochs": 1}
    assert "nothing has changed" in ask("changes")
    again = first_run.run(SEGLINE_CONFIG=config, **PASSWORD)
    assert again.stdout.count("cached") == 10
