from components.common import provenance


def test_fingerprint_follows_the_source(tmp_path, monkeypatch):
    for name in (*provenance._SHARED, "step/a.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x = 1\n")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    before = provenance.source_fingerprint("step")
    assert before == provenance.source_fingerprint("step")
    (tmp_path / "step" / "a.py").write_text("x = 2\n")
    changed = provenance.source_fingerprint("step")
    (tmp_path / "common/schema.py").write_text("y = 1\n")
    assert len({before, changed, provenance.source_fingerprint("step")}) == 3


def test_fingerprint_of_a_file_follows_its_content(tmp_path):
    file = tmp_path / "weights.h5"
    file.write_bytes(b"1")
    before = provenance.file_fingerprint(str(file))
    file.write_bytes(b"2")
    assert len({"", before, provenance.file_fingerprint(str(file))}) == 3
    assert provenance.file_fingerprint("imagenet") == ""
