from pathlib import Path

from pipeline.config.reference import reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "config.md"


def test_the_reference_page_is_current():
    assert PAGE.read_text() == reference(), (
        "run: segline config reference > docs/reference/config.md"
    )


def test_every_key_is_explained():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    unexplained = [row for row in rows if row.rstrip(" |").endswith("`")]
    assert len(rows) > 40 and not unexplained
