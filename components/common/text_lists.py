"""Lists and tables, as people and their spreadsheets write them."""

from __future__ import annotations

import csv
import io

YES, NO = ("1", "true", "yes", "1.0", "t", "y"), ("0", "false", "no", "0.0", "f", "n")
_COMMENT = "#"


def lines_of(text: str) -> list[str]:
    """A list's lines, trimmed, without empty ones and comments.

    `# so` is a comment; `#1.jpg` may be a name: whoever knows the names says so (`may_be_comment`).
    """
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and line.split()[0] != _COMMENT]


def may_be_comment(line: str) -> bool:
    """Whether a line that is no known name is a comment."""
    return line.startswith(_COMMENT)


def rows_of(text: str) -> list[list[str]]:
    """A table's rows of trimmed cells, without empty ones and comments.

    The delimiter is what the first of them has most of: comma, tab, or the semicolon that
    spreadsheets write where the comma is the decimal sign.
    """
    first = next((line for line in lines_of(text) if not may_be_comment(line)), "")
    delimiter = max("\t;,", key=first.count)
    cells = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    rows = [[cell.strip() for cell in row] for row in cells]
    return [row for row in rows if any(row) and not may_be_comment(row[0])]
