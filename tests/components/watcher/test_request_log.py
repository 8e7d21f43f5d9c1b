"""Logs of requests and answers, as KServe's logger writes them."""

import gzip
import io
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_models
from logged_requests import (
    REQUEST,
    RESPONSE,
    event,
    parquet_record,
    record,
    request_body,
    response_body,
    write_lines,
)
from PIL import Image
from small_models import drawn, mask_of

from components.watcher import request_log
from components.watcher.request_log import Which

NAMES = ("dark", "light")
SHARES = ["share_dark", "share_light"]


def one_row(table, name):
    return {feature: values.tolist() for feature, values in table.values.items()}[name]


@pytest.mark.parametrize("form", ["rows", "bare rows", "columns"])
@pytest.mark.parametrize("kind", ["plain", "watched"])
def test_an_event_and_its_answer_make_a_row_for_each_picture(
    answers, observers, kind, form, tmp_path
):
    pictures = [small_models.png(drawn(seed, (30 + seed, 40))) for seed in range(3)]
    out = answers(kind, pictures)
    body = response_body(out, "columns" if form == "columns" else "rows")
    lines = [event(REQUEST, "a", request_body(pictures, form)), event(RESPONSE, "a", body)]
    found = request_log.read(write_lines(tmp_path / "log.jsonl", lines), observers[kind], Which())
    assert (found.table.count, found.unreadable, dict(found.left_out)) == (3, 0, {})
    assert one_row(found.table, "height") == [30, 31, 32]
    np.testing.assert_allclose(one_row(found.table, "confidence"), out["confidence"])
    light = [(mask_of(png) == 1).mean() for png in out["mask_png_bytes"]]
    np.testing.assert_allclose(one_row(found.table, "share_light"), light, atol=1e-6)
    expected = observers[kind].looks(pictures)
    for name in ("brightness", "contrast", "sharpness"):
        told = [one[name] for one in expected]
        np.testing.assert_allclose(one_row(found.table, name), told, rtol=1e-5)


def test_answers_with_telemetry_need_no_pictures_and_requests_no_answers(watched, tmp_path):
    picture = small_models.png(drawn(1))
    (values,) = watched.answers([picture])
    telemetry = {
        **{name: values[name] for name in ("brightness", "contrast", "sharpness", "confidence")},
        "class_shares": [values[name] for name in SHARES],
        "size": [values["height"], values["width"]],
    }
    answered = write_lines(
        tmp_path / "answers.json", [event(RESPONSE, "a", {"predictions": [telemetry]})]
    )
    found = request_log.read(answered, watched, Which()).table
    assert {name: one_row(found, name)[0] for name in values} == pytest.approx(values)
    asked = write_lines(tmp_path / "requests.log", [event(REQUEST, "a", request_body([picture]))])
    found = request_log.read(asked, watched, Which()).table
    assert one_row(found, "sharpness") == [pytest.approx(values["sharpness"])]
    assert not set(found.values) & {*SHARES, "confidence"}


def test_what_the_logger_stores_in_a_bucket_is_the_same(plain, answers, tmp_path):
    pictures = [small_models.png(drawn(seed)) for seed in range(2)]
    body = response_body(answers("plain", pictures))
    records = [record(REQUEST, "a", request_body(pictures)), record(RESPONSE, "a", body)]
    lists, singles, columns, packed = (
        tmp_path / name for name in ("lists", "singles", "columns", "packed")
    )
    for folder in (lists, singles, columns, packed):
        folder.mkdir()
    # marshaller_json.go: one record as it is, several as a list; no line ends.
    (lists / "a-request.json").write_text(json.dumps(records))
    for name, one in zip(("a-request.json", "a-response.json"), records, strict=True):
        (singles / name).write_text(json.dumps(one))
    flat = [parquet_record(one) for one in records]
    pq.write_table(pa.Table.from_pylist(flat), columns / "a-request.parquet")
    with gzip.open(packed / "log.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, records)))
    tables = [
        request_log.read([str(folder)], plain, Which()).table
        for folder in (lists, singles, columns, packed)
    ]
    for table in tables:
        assert table.count == 2
        for name, values in tables[0].values.items():
            assert table.values[name].tolist() == values.tolist()


def large_png(side):
    """A PNG of one bit a pixel that is small as a file."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def wide_png():
    pixels = np.random.default_rng(0).integers(0, 2**16, (40, 40), dtype=np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_that_the_model_would_refuse_is_not_decoded(plain):
    """By its header, as `serving_default` does (components/trainer/request_check.py)."""
    assert plain.max_megapixels == 100
    large, broken, fine = plain.looks([large_png(14000), wide_png()[:-30], wide_png()])
    assert large == "the model can't take the picture: it has more than 100 megapixels"
    assert broken.startswith("the model can't take the picture: ")
    assert fine["height"] == 40


def test_what_can_t_be_read_is_counted_and_told(plain, tmp_path):
    good = small_models.png(drawn(0))
    lines = [
        "{truncated",
        "[1, null]",
        json.dumps({"type": "dev.knative.other", "id": "1"}),
        event(REQUEST, "b", {"instances": [{"image_bytes": {"b64": "!"}}]}),
        event(REQUEST, "c", request_body([b"no picture", good])),
        event(RESPONSE, "d", {"error": "no such model"}),
        event(RESPONSE, "e", {"predictions": [{"confidence": [1], "mask_png_bytes": 3}]}),
        {**event(REQUEST, "f", None), "data": "not json"},
        event(REQUEST, "g", {"signature_name": "evaluate", "instances": [{"b64": ""}]}),
        event(RESPONSE, "h", {"predictions": [{"confidence": 10**400}]}),
        event(RESPONSE, "i", {"predictions": [{"class_shares": [10**400, 0], "size": [1, 1]}]}),
        event(RESPONSE, "j", response_body({"mask_png_bytes": [large_png(14000)]})),
        event(RESPONSE, "k", response_body({"mask_png_bytes": [large_png(20000)]})),
        event(RESPONSE, "l", response_body({"mask_png_bytes": [b"no mask"]})),
        event(REQUEST, "m", request_body([large_png(14000), wide_png()[:-30]])),
        event(RESPONSE, "p", {"predictions": [{"class_shares": [-1e308, 0], "size": [1, 1]}]}),
        event(RESPONSE, "q", {"predictions": [{"class_shares": [0, 1], "size": [1e10, 1]}]}),
        # Not this one: only its headers are nobody's.
        event(REQUEST, "n", request_body([good]), metadata="[" * 100_000),
        event(RESPONSE, ["o"], None),
    ]
    path = write_lines(tmp_path / "log.jsonl", lines)
    (tmp_path / "damaged.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:-9])
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    (tmp_path / "no_picture.png").write_bytes(b"no picture")
    found = request_log.read([str(tmp_path)], plain, Which())
    rows = [{"height": 3, "width": 4, "confidence": None, "error": None}]
    rows.append({"height": 1e300, "width": 4, "confidence": 1, "error": None})
    columns = [(name, pa.float64()) for name in ("height", "width", "confidence")]
    table = pa.Table.from_pylist(rows, pa.schema([*columns, ("error", pa.string())]))
    for name in SHARES:
        table = table.append_column(name, pa.array([0.5, 0.5]))
    pq.write_table(table, tmp_path / "no_number.parquet")
    found = request_log.read([str(tmp_path)], plain, Which())
    assert found.table.count == 2 and found.unreadable == 25
    assert len(found.problems) == 3
    only_log = request_log.read(path, plain, Which())
    assert only_log.unreadable == 20
    assert only_log.problems[0] == f"{path[0]}:1: no JSON"
    assert only_log.problems[1] == f"{path[0]}:2: no CloudEvent"


def test_what_is_not_this_version_s_is_left_out_and_said(plain, tmp_path):
    picture = request_body([small_models.png(drawn(0))])
    other = {"predictions": [{"class_shares": [0.1, 0.2, 0.7], "size": [3, 3]}]}
    lines = [
        event(REQUEST, "a", picture, endpoint="canary"),
        event(REQUEST, "b", picture, time="2026-08-20T00:00:00Z"),
        event(REQUEST, "c", picture, time="2026-08-22T00:00:00Z"),
        event(RESPONSE, "d", other, time=None),
        event(RESPONSE, "e", {"predictions": [{"logits": [1, 2]}]}, time=None),
        event(REQUEST, "f", picture, time="2026-08-23T00:00:00Z"),
    ]
    which = Which(since=1787356800, served_since=1787270400)  # 22nd and 21st of August 2026
    found = request_log.read(write_lines(tmp_path / "log.jsonl", lines), plain, which)
    assert dict(found.left_out) == {
        "of the canary": 1,
        "before --since": 1,
        "of another model": 2,
    }
    assert found.table.count == 2
    which = Which(served_since=1787356800)
    found = request_log.read([str(tmp_path)], plain, which)
    assert found.left_out["before this version was served"] == 1


def test_where_a_log_has_no_time_that_of_its_file_counts(plain, tmp_path):
    picture = small_models.png(drawn(0))
    stored = record(REQUEST, "a", request_body([picture]))
    pq.write_table(pa.Table.from_pylist([parquet_record(stored)]), tmp_path / "a.parquet")
    predicted = {"height": 3.0, "width": 4.0, "confidence": 0.9, "error": None}
    columns = pa.Table.from_pylist([{**predicted, **dict.fromkeys(SHARES, 0.5)}])
    pq.write_table(columns, tmp_path / "predictions.parquet")
    (tmp_path / "picture.png").write_bytes(picture)
    for file in tmp_path.iterdir():
        os.utime(file, (1787270400, 1787270400))
    paths = [str(tmp_path)]
    found = request_log.read(paths, plain, Which(since=1787270401))
    assert (found.table.count, found.left_out) == (0, {"before --since": 3})
    # The picture is this version's whenever it was taken: it is asked now.
    found = request_log.read(paths, plain, Which(served_since=1787270401))
    assert (found.table.count, found.left_out) == (1, {"before this version was served": 2})
    assert request_log.read(paths, plain, Which(since=1787270400)).table.count == 3


def test_pictures_that_another_model_was_asked_are_not_looked_at(plain, answers, tmp_path):
    picture = small_models.png(drawn(0))
    asked = request_body([picture])
    other = {"predictions": [{"class_shares": [0.1, 0.2, 0.7], "size": [3, 3]}]}
    ours = response_body(answers("plain", [picture]))
    lines = [
        event(REQUEST, "a", asked, inferenceservicename="pets"),
        event(RESPONSE, "a", other, inferenceservicename="pets"),
        # (Its masks could be those of this one.)
        event(REQUEST, "b", asked, inferenceservicename="cars"),
        event(RESPONSE, "b", ours, inferenceservicename="cars"),
        record(REQUEST, "c", asked, inferenceService="cars"),
        event(REQUEST, "d", asked, inferenceservicename="pets", endpoint="version-7"),
        event(REQUEST, "f", asked, inferenceservicename="pets", endpoint="version-8"),
    ]
    write_lines(tmp_path / "log.jsonl", lines)
    stored = parquet_record(record(REQUEST, "e", asked, inferenceService="cars"))
    pq.write_table(pa.Table.from_pylist([stored]), tmp_path / "e-request.parquet")
    found = request_log.read([str(tmp_path)], plain, Which(service="pets", endpoint="version-7"))
    assert found.table.count == 1 and found.unreadable == 0
    assert found.left_out == {
        "of another model": 1,
        "of InferenceService cars, not pets": 4,
        "of another version": 1,
    }


def test_a_request_s_slice_is_told_by_a_header(plain, tmp_path):
    """kserve/kserve pkg/logger/handler.go: the headers that it was asked to keep."""
    body = request_body([small_models.png(drawn(0))])
    lines = [
        event(REQUEST, "a", body, metadata=json.dumps({"Species": ["cat"], "X-Other": ["1"]})),
        record(REQUEST, "b", body, metadata={"Species": ["dog"]}),
        event(REQUEST, "c", body, metadata="null"),
    ]
    # (Anybody can send a header: of values that the data lacks none is kept.)
    lines.append(event(REQUEST, "d", body, metadata=json.dumps({"Species": ["x" * 8000]})))
    which = Which(slices={"species": {"cat", "dog"}})
    found = request_log.read(write_lines(tmp_path / "log.jsonl", lines), plain, which).table
    assert found.slices["species"].tolist() == ["cat", "dog", "", ""]
    assert found.slices["species"].dtype == "<U3"
    assert found.of_slice("species", "dog").count == 1


def test_a_folder_of_pictures_is_asked_of_the_model(plain, tmp_path):
    (tmp_path / "below").mkdir()
    for number in range(20):
        Image.fromarray(drawn(number)).save(tmp_path / "below" / f"{number:02d}.png")
    found = request_log.read([str(tmp_path)], plain, Which()).table
    (first,) = plain.answers([small_models.png(drawn(0))])
    assert found.count == 20
    assert {name: one_row(found, name)[0] for name in first} == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("order", [1, -1])
def test_of_answers_with_mirror_images_only_the_pictures_count(plain, answers, order, tmp_path):
    """The data was asked without."""
    picture = small_models.png(drawn(0))
    asked = {"signature_name": "serving_flipped", **request_body([picture])}
    answered = response_body(answers("plain", [picture]))
    lines = [event(REQUEST, "a", asked), event(RESPONSE, "a", answered)][::order]
    found = request_log.read(write_lines(tmp_path / "log.jsonl", lines), plain, Which()).table
    assert sorted(found.values) == ["brightness", "contrast", "height", "sharpness", "width"]
