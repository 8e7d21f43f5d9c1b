"""Files that are there as a whole or not at all."""

import os
from unittest import mock

import pytest
import tensorflow as tf

from components.common.errors import UserError
from components.common.whole_files import write_whole


def test_who_reads_has_the_old_one_or_the_new(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    full = tf.errors.ResourceExhaustedError(None, None, f"{path}.0; No space left on device")
    with (
        mock.patch.object(tf.io.gfile.GFile, "write", side_effect=full),
        pytest.raises(UserError, match=r"page\.html can't be written: No space left on device$"),
    ):
        write_whole(str(path), "new")
    assert path.read_text() == "old"
    with path.open() as reader:
        write_whole(str(path), "new, and ü")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new, and ü" and os.listdir(tmp_path) == [path.name]


def test_links_and_pipes_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("real.html", "link.html")
    for content in (b"1", b"2"):
        write_whole("link.html", content)
    assert os.path.islink("link.html") and (tmp_path / "real.html").read_bytes() == b"2"
    pipe = os.pipe()
    write_whole(f"/dev/fd/{pipe[1]}", "told")
    assert os.read(pipe[0], 9) == b"told"


def test_folders_are_made_where_that_is_wanted(tmp_path):
    path = f"{tmp_path}/a/b.html"
    with pytest.raises(UserError, match=r"a/b\.html can't be written: No such file or directory"):
        write_whole(path, "")
    write_whole(f"file://{path}", "as in a bucket", folders=True)
    with open(path) as file:
        assert file.read() == "as in a bucket"
    with pytest.raises(UserError, match="can't be written: Is a directory"):
        write_whole(str(tmp_path), "")
