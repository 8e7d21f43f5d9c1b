"""Files that logs are read from: as other programs write and rotate them."""

import gzip
import json

import apache_beam as beam
import pytest
import small_models
from logged_requests import REQUEST, record, request_body
from small_models import drawn

from components.common.errors import UserError
from components.predictor import batch
from components.watcher import request_log
from components.watcher.request_log import Which

NAMES = ("dark", "light")
SHARES = ["share_dark", "share_light"]


def test_one_bad_record_does_not_cost_a_list_the_others(plain, tmp_path):
    body = request_body([small_models.png(drawn(0))])
    records = [record(REQUEST, "a", body), {"id": "b"}, None, record(REQUEST, "c", body)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    found = request_log.read([str(tmp_path)], plain, Which())
    assert (found.table.count, found.unreadable) == (2, 2)
    assert found.problems[1] == f"{tmp_path}/a.json:1: no CloudEvent"


def test_logs_are_read_as_other_programs_write_them(plain, tmp_path):
    body = request_body([small_models.png(drawn(0))])
    records = [record(REQUEST, name, body) for name in "ab"]
    lines = "\n".join(map(json.dumps, records))
    (tmp_path / "mark.jsonl").write_text(lines, encoding="utf-8-sig")
    (tmp_path / "wide.jsonl").write_text(lines, encoding="utf-16")
    (tmp_path / "indented.json").write_text(json.dumps(records, indent=2))
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(json.dumps(records, indent=1).encode()))
    for path in tmp_path.iterdir():
        found = request_log.read([str(path)], plain, Which())
        assert (found.table.count, found.problems) == (2, []), path
    (tmp_path / "broken.jsonl").write_text("{\n" + lines)
    found = request_log.read([str(tmp_path / "broken.jsonl")], plain, Which())
    assert (found.table.count, found.unreadable) == (2, 1)


def test_rotated_logs_are_read_and_files_of_another_kind_told(plain, tmp_path):
    body = request_body([small_models.png(drawn(0))])
    names = ("a.jsonl", "a.log.1", "a.jsonl-20261129", "a.LOG.2.gz", "a.jsonl.zst", "notes.txt")
    for name in names:
        content = json.dumps(record(REQUEST, name, body)).encode()
        content = gzip.compress(content) if name.endswith("gz") else content
        (tmp_path / name).write_bytes(content)
    found = request_log.read([str(tmp_path)], plain, Which())
    assert (found.table.count, found.unreadable) == (4, 0)
    assert found.left_out == {"files of another kind, such as a.jsonl.zst": 2}
    with pytest.raises(UserError, match=r"a\.jsonl\.zst: neither JSON lines"):
        request_log.read([str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl.zst")], plain, Which())


def test_a_file_that_is_named_twice_counts_once(plain, tmp_path):
    picture = small_models.png(drawn(0))
    (tmp_path / "a.png").write_bytes(picture)
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    paths = [str(tmp_path), str(tmp_path / "a.png"), f"{tmp_path}/../{tmp_path.name}"]
    assert request_log.read(paths, plain, Which()).table.count == 1


def test_predictions_count_where_this_model_has_made_them(plain, watched, models, tmp_path):
    rows = [{"picture": "a", "height": 3, "width": 4, "confidence": 0.9, "share_dark": 0.5}]
    rows[0]["share_light"] = 0.5
    folders = {}
    for name, made_by in {
        "ours": batch.made_by(models["plain"], flip=False),
        "flipped": batch.made_by(models["plain"], flip=True),
        "another's": batch.made_by(models["watched"], flip=False),
        "of an earlier segline": {},
    }.items():
        folders[name] = str(tmp_path / name)
        missing = dict.fromkeys(batch.arrow_schema(NAMES).names)
        with beam.Pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([{**missing, **row} for row in rows])
                | batch.WriteRows(folders[name], "parquet", NAMES, made_by)
            )
    read = {name: request_log.read([folder], plain, Which()) for name, folder in folders.items()}
    judged = {"height", "width", "confidence", *SHARES}
    assert set(read["ours"].table.values) == judged
    assert set(read["flipped"].table.values) == {"height", "width"}
    assert (read["another's"].table.count, read["another's"].left_out) == (
        0,
        {"of another model": 1},
    )
    assert set(read["of an earlier segline"].table.values) == judged


def test_nothing_to_read_is_one_clear_error(plain, tmp_path):
    with pytest.raises(UserError, match="logs in a bucket are not read; copy them"):
        request_log.read(["gs://logs/pets"], plain, Which())
    with pytest.raises(UserError, match="there is no file or folder"):
        request_log.read([str(tmp_path / "missing")], plain, Which())
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match="neither JSON lines .* nor pictures"):
        request_log.read([str(tmp_path)], plain, Which())
