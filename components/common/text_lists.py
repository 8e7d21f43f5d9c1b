"""Lists and tables, as people and their spreadsheets write them."""

from __future__ import annotations

import csv
import io

YES, NO = ("1", "true", "yes", "1.0", "t", "y"), ("0", "false", "no", "0.0", "f", "n")
_COMMENT = "#"


def lines_of(text: str) -> list[str]:
    """A list's lines, trimmed, without empty ones and comments."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(_COMMENT)]


def rows_of(text: str) -> list[list[str]]:
    """A table's rows of trimmed cells, without empty ones and comments.

    The delimiter is what the first of them has most of: comma, tab, or the semicolon that
    spreadsheets write where the comma is the decimal sign.
    """
    first = next(iter(lines_of(text)), "")
    delimiter = max("\t;,", key=first.count)
    cells = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    rows = [[cell.strip() for cell in row] for row in cells]
    return [row for row in rows if any(row) and not row[0].startswith(_COMMENT)]
