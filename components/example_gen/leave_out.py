"""Examples that their owner wants left out: a list of ids, as `segline label check` writes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence

import tensorflow as tf

from components.common import file_tree, schema
from components.common.errors import UserError

LEAVE_OUT = "leave_out"  # a table's column of yes and no
_YES = ("yes", "y", "true", "1")
_MOST_TOLD = 5


def read_leave_out(path: str | None) -> frozenset[str]:
    """The ids that a list names.

    Args:
      path: a text file, an id in each line; or a table (.csv) with a column `example_id`, and,
        where only some of its rows are meant, a column `leave_out` with yes in these. None: no
        list.

    Raises:
      UserError: there is no such file, it is no text, or it names nothing.
    """
    if path is None:
        return frozenset()
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            text = file_tree.decoded(file.read())
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"dataset.leave_out: there is no file {path}") from error
    except ValueError as error:
        raise UserError(f"dataset.leave_out: {path} is no text in UTF-8") from error
    ids = _of_table(path, text) if path.lower().endswith(".csv") else text.splitlines()
    found = frozenset(name.strip() for name in ids if name.strip())
    if not found:
        raise UserError(
            f"dataset.leave_out: {path} names no example; leave the key out, or put an id into "
            "each line"
        )
    return found


def _of_table(path: str, text: str) -> list[str]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and schema.EXAMPLE_ID not in rows[0]:
        raise UserError(
            f"dataset.leave_out: {path} has no column {schema.EXAMPLE_ID}; a list without columns "
            "ends in .txt"
        )
    return [
        row[schema.EXAMPLE_ID]
        for row in rows
        if LEAVE_OUT not in row or (row[LEAVE_OUT] or "").strip().lower() in _YES
    ]


def unknown(wanted: Collection[str], left_out: Sequence[str]) -> list[str]:
    """What the list names that no split has.

    Raises:
      UserError: that is all of it: the list is of other data.
    """
    missing = sorted(set(wanted) - set(left_out))
    if missing and len(missing) == len(wanted):
        some = ", ".join(missing[:_MOST_TOLD])
        raise UserError(
            f"dataset.leave_out: no split has any of its {len(missing)} examples, such as {some}; "
            "the ids are those that dataset.features.example_id names"
        )
    return missing
