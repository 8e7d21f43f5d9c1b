"""The table of a check: every label, the worst first, and which of them are to be left out.

It is checked again and again, and `dataset.leave_out` names it meanwhile. So what a person has
decided stays: a mark that was changed by hand, and what the next runs leave out already. And what
nobody has looked at is left out by no run: once the config names the table, a check suggests only.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Collection, Mapping, Sequence

from components.common import schema
from components.common.whole_files import write_whole
from components.example_gen.leave_out import LEAVE_OUT, is_yes, key_of, read_rows
from components.labels.folds import Scored

_SUGGESTED = "suggested"
_COLUMNS = (LEAVE_OUT, schema.EXAMPLE_ID, "split", "score", _SUGGESTED)


@dataclasses.dataclass(frozen=True)
class Mark:
    """A row.

    Attributes:
      example_id: of the example.
      split: that it is in; empty: not known.
      score: as text; empty: not known.
      suggested: whether the check says to leave it out.
      leave_out: whether it is to be left out; None, and an empty cell: nobody has said.
    """

    example_id: str
    split: str
    score: str
    suggested: bool
    leave_out: bool | None

    @property
    def by_hand(self) -> bool:
        """Whether a person has decided otherwise than the check."""
        return self.leave_out is not None and self.leave_out != self.suggested


def worst(order: Sequence[Scored], count: int, judged: Collection[str]) -> set[Scored]:
    """The labels that a check says to leave out.

    Args:
      order: all of them, the worst first.
      count: how many are wanted.
      judged: splits that models are judged or calibrated on: without the pictures that a model
        gets wrong the next one's score is higher, and it no better. None of these.
    """
    candidates = [one for one in order if one.split not in judged]
    return set(candidates[:count])


def merged(
    order: Sequence[Scored],
    suggested: Collection[Scored],
    before: Mapping[str, Mark],
    left_out: Collection[str],
    in_use: bool,
) -> list[Mark]:
    """The new table.

    Args:
      order: all labels of the run, the worst first.
      suggested: those that the check says to leave out.
      before: from `read`.
      left_out: ids that are left out of the next runs now, as `read_leave_out` has them.
      in_use: whether the next runs take this table: then what is new in it nobody has decided.

    Returns:
      A row for each label, in order, and after them what only `before` and `left_out` have.
    """
    rows = []
    for one in order:
        wrong = one in suggested
        leave_out = None if wrong and in_use else wrong
        rows.append(Mark(one.example_id, one.split, f"{one.score:.6f}", wrong, leave_out))
    seen = {key_of(one.example_id) for one in order}
    rows += [row for key, row in before.items() if key not in seen]
    seen |= set(before)
    rows += [Mark(name, "", "", False, True) for name in sorted(set(left_out) - seen)]
    return [_decided(row, before.get(key_of(row.example_id)), left_out) for row in rows]


def _decided(row: Mark, before: Mark | None, left_out: Collection[str]) -> Mark:
    if before and before.by_hand:
        # Both of before: so it is by hand at the next check, too.
        return dataclasses.replace(row, suggested=before.suggested, leave_out=before.leave_out)
    if key_of(row.example_id) in left_out:
        return dataclasses.replace(row, leave_out=True)
    if before and before.leave_out is None and row.suggested:
        return dataclasses.replace(row, leave_out=None)
    return row


def read(path: str) -> dict[str, Mark]:
    """Example's id, by `key_of`, -> its row in a table of before; empty where there is none.

    Raises:
      UserError: it can't be read, or has lost its columns.
    """
    if not os.path.exists(path):
        return {}
    found: dict[str, Mark] = {}
    for row in read_rows(path):
        name = row[schema.EXAMPLE_ID]
        marked = is_yes(path, row, LEAVE_OUT, "yes")
        # Where the column was taken out, all marks may be a person's.
        suggested = is_yes(path, row, _SUGGESTED, "no" if marked else "yes")
        is_open = suggested and _SUGGESTED in row and row.get(LEAVE_OUT) == ""
        if key_of(name) not in found or marked:  # left out is an id that any row says yes to
            told = (row.get("split", ""), row.get("score", ""), suggested)
            found[key_of(name)] = Mark(name, *told, None if is_open else marked)
    return found


def write(rows: Sequence[Mark], path: str) -> None:
    """Writes the table that `dataset.leave_out` takes, at once: a run may be reading it.

    Raises:
      UserError: it can't be written.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    for row in rows:
        told = (row.example_id, row.split, row.score)
        writer.writerow([_word(row.leave_out), *told, _word(row.suggested)])
    write_whole(path, table.getvalue())


def _word(said: bool | None) -> str:
    return "" if said is None else "yes" if said else "no"
