import subprocess
import sys

import pytest
import yaml

from pipeline import cli


def test_config_list(capsys):
    cli.main(["config", "list"])
    assert "quickstart" in capsys.readouterr().out.split()


def test_config_show_is_a_config_itself(capsys, tmp_path):
    cli.main(["config", "show", "pets_tutorial"])
    shown = tmp_path / "shown.yaml"
    shown.write_text(capsys.readouterr().out)
    assert yaml.safe_load(shown.read_text())["trainer"]["epochs"] == 20
    cli.main(["config", "check", str(shown)])


def test_config_name_follows_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("SEGLINE_CONFIG", "pets")
    cli.main(["config", "name"])
    assert capsys.readouterr().out == "pets\n"


def test_a_wrong_config_exits_with_1_and_one_message(capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(["config", "check", "nowhere"])
    assert error.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "there is no config 'nowhere'" in captured.err


def test_files_that_a_config_names_are_looked_for(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/one/images").mkdir(parents=True)
    config = {
        "name": "leaves",
        "dataset": {
            "name": "image_folder",
            "folder": {
                "images": "data/*/images",
                "annotations": ["data/one.json", "data/two.json"],
            },
            "leave_out": "wrong.csv",
        },
        "classes": {"values": {"ground": 0, "leaf": 1}},
        "trainer": {"encoder": {"weights": "/volume/encoder.h5"}},
        "run": {"notify": [{"webhook": {"url": {"file": "~/url"}}}]},
        "kubeflow": {"volumes": [{"claim": "segline", "mount_path": "/volume"}]},
    }
    (tmp_path / "leaves.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "data/one.json").write_text("{}")
    with pytest.raises(SystemExit):
        cli.main(["config", "check", "leaves.yaml"])
    assert [line.partition(";")[0] for line in capsys.readouterr().err.splitlines()] == [
        "segline: dataset.leave_out: there is no wrong.csv",
        "run.notify.0.webhook.url.file: there is no ~/url",
        "dataset.folder.annotations.1: there is no data/two.json",
    ]
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "url").write_text("https://example.org")
    (tmp_path / "data/two.json").write_text("{}")
    (tmp_path / "wrong.csv").write_text("picture\none.jpg\n")
    with pytest.raises(SystemExit):
        cli.main(["config", "check", "leaves.yaml"])
    assert "wrong.csv has no column example_id" in capsys.readouterr().err
    (tmp_path / "wrong.csv").write_text("example_id\none.jpg\n")
    cli.main(["config", "check", "leaves.yaml"])
    config["dataset"]["leave_out"] = "/volume/wrong.csv"  # which only the pods see
    (tmp_path / "leaves.yaml").write_text(yaml.safe_dump(config))
    cli.main(["config", "check", "leaves.yaml"])


def test_nothing_heavy_is_imported_for_help():
    script = (
        "import sys, pipeline.cli\n"
        "pipeline.cli.make_parser().format_help()\n"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam', 'pydantic', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
