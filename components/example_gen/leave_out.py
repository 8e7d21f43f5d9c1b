"""Examples that their owner wants left out: a list of ids, as `segline label check` writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import tensorflow as tf

from components.common import file_tree, schema, text_lists
from components.common.errors import UserError

LEAVE_OUT = "leave_out"  # a table's column of yes and no
_TABLES = (".csv", ".tsv")
_MOST_TOLD = 5


def key_of(example_id: str) -> str:
    """What an example's id is compared by: files' names are composed differently on Macs."""
    return file_tree.composed(example_id).strip()  # a list's lines and cells are trimmed, too


def read_leave_out(path: str | None) -> frozenset[str]:
    """The ids that a list names, each as `key_of` has it.

    Args:
      path: a text file, an id in each line; or a table (.csv, .tsv) with a column `example_id`,
        and, where only some of its rows are meant, a column `leave_out` with yes in these, and no
        or nothing in the others. None: no list.

    Raises:
      UserError: there is no such file, it is no text, it names nothing, or a row's mark is unclear.
    """
    if path is None:
        return frozenset()
    if path.lower().endswith(_TABLES):
        rows = read_rows(path)
        names = [row[schema.EXAMPLE_ID] for row in rows if is_yes(path, row, LEAVE_OUT, "yes")]
    else:
        names = text_lists.lines_of(_text(path))
    found = frozenset(map(key_of, names))
    if not found:
        raise UserError(
            f"dataset.leave_out: {path} names no example; leave the key out, or put an id into "
            "each line"
        )
    return found


def read_rows(path: str) -> list[dict[str, str]]:
    """A table's rows: column, in lower case -> cell.

    Raises:
      UserError: there is no such file, it is no text, or a row has no example's id.
    """
    heads, *rows = text_lists.rows_of(_text(path)) or [[schema.EXAMPLE_ID]]
    heads = [head.lower() for head in heads]
    if schema.EXAMPLE_ID not in heads:
        raise UserError(
            f"dataset.leave_out: {path} has no column {schema.EXAMPLE_ID}; a list without columns "
            "ends in .txt"
        )
    found = [dict(zip(heads, row + [""] * len(heads), strict=False)) for row in rows]
    for number, row in enumerate(found, start=1):
        if not row.get(schema.EXAMPLE_ID):
            raise UserError(
                f"dataset.leave_out: {path}: row {number} below the columns' names has no "
                f"{schema.EXAMPLE_ID}; give it one, or take it out"
            )
    return found


def is_yes(path: str, row: Mapping[str, str], column: str, default: str) -> bool:
    """What a row says in a column of yes and no; nothing is no.

    Args:
      path: of its table, for a message.
      row: from `read_rows`.
      column: of the table.
      default: what a table without the column says.

    Raises:
      UserError: it says neither.
    """
    cell = row.get(column, default).lower()
    if cell and cell not in (*text_lists.YES, *text_lists.NO):
        raise UserError(
            f"dataset.leave_out: {path}: {row[schema.EXAMPLE_ID]} has {row[column]!r} in column "
            f"{column}; write yes or no"
        )
    return cell in text_lists.YES


def _text(path: str) -> str:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file_tree.decoded(file.read())
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"dataset.leave_out: there is no file {path}") from error
    except ValueError as error:
        raise UserError(f"dataset.leave_out: {path} is no text in UTF-8") from error


def unknown(wanted: Collection[str], left_out: Sequence[str]) -> list[str]:
    """What the list names that no split has.

    Args:
      wanted: from `read_leave_out`.
      left_out: ids of the examples that were left out.

    Raises:
      UserError: that is all of it: the list is of other data.
    """
    found = set(map(key_of, left_out))
    missing = sorted(name for name in set(wanted) - found if not text_lists.may_be_comment(name))
    if missing and not found:
        some = ", ".join(missing[:_MOST_TOLD])
        raise UserError(
            f"dataset.leave_out: no split has any of its {len(missing)} examples, such as {some}; "
            "the ids are those that dataset.features.example_id names"
        )
    return missing
