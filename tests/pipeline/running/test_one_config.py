"""Two configs of one name: the second would replace the first's models."""

import pytest

from components.common.errors import UserError
from pipeline.running import one_config


def write(path, name):
    path.write_text(f"name: {name}\n")
    return path


def test_a_folder_stays_with_its_config(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    first, second = write(tmp_path / "a.yaml", "cars"), write(tmp_path / "b.yaml", "cars")
    one_config.claim(str(folder), first)
    one_config.claim(str(folder), first)
    with pytest.raises(UserError, match=r"b.yaml and .*a.yaml are two configs of the name 'cars'"):
        one_config.claim(str(folder), second)
    one_config.claim(str(folder), first)


@pytest.mark.parametrize("gone", [True, False])
def test_a_config_may_move_or_get_another_name(tmp_path, gone):
    first, second = write(tmp_path / "a.yaml", "cars"), write(tmp_path / "b.yaml", "cars")
    one_config.claim(str(tmp_path), first)
    if gone:
        first.unlink()
    else:
        write(first, "vans")
    one_config.claim(str(tmp_path), second)
    with pytest.raises(UserError):
        one_config.claim(str(tmp_path), write(tmp_path / "c.yaml", "cars"))
