"""The one kind of error that is meant for the user's eyes."""

from collections.abc import Sequence

_MOST_LISTED = 20


class UserError(Exception):
    """Something the user can mend: the message names the thing and the remedy.

    The terminal shows its message without a traceback; every other exception is
    shown whole. It must survive pickling, since Beam workers raise it too, so it
    carries nothing but its message.
    """


def listed(lines: Sequence[object]) -> str:
    """The first twenty as lines of a message, and how many more there are."""
    shown = [f"  {line}" for line in lines[:_MOST_LISTED]]
    if len(lines) > _MOST_LISTED:
        shown.append(f"  … and {len(lines) - _MOST_LISTED} more")
    return "\n".join(shown)
