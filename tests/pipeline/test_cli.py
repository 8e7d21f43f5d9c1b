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


def test_nothing_heavy_is_imported_for_help():
    script = (
        "import sys, pipeline.cli\n"
        "pipeline.cli.make_parser().format_help()\n"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam', 'pydantic', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
