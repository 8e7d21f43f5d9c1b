"""The one kind of error that is meant for the user's eyes."""


class UserError(Exception):
    """Something the user can mend: the message names the thing and the remedy.

    The terminal shows its message without a traceback; every other exception is
    shown whole. It must survive pickling, since Beam workers raise it too, so it
    carries nothing but its message.
    """
