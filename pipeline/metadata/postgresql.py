"""Makes up for what ML Metadata 1.16 gets wrong on PostgreSQL.

It quotes values with libpq, which writes one with a backslash as ` E'…'`; with quotes around
that, the statement is a syntax error. JSON within JSON is full of backslashes. On its way to
PostgreSQL a backslash therefore becomes the control character SUBSTITUTE, which no text of
ours has, and on the way back it becomes one again.

It reads without an order, and PostgreSQL gives what it finds first. The index of an event's
path may come before the key (a shorter row fits where the longer one before it did not), and
TFX, which looks for the key first, does not see the output. And things that were asked for by
their ids come in another order than asked for; TFX takes them as if they did not, and a cached
step's outputs change their names. Both are put in order again.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

_BACKSLASH, _SUBSTITUTE = "\\", "\x1a"


def replace_text(message: Message, old: str, new: str) -> None:
    """Replaces a character in all texts of a message, in place, map keys left out.

    Args:
      message: any message.
      old: what is replaced.
      new: by what.
    """
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            if not isinstance(value, str):
                value[:] = [text.replace(old, new) for text in value]
            elif old in value:
                setattr(message, field.name, value.replace(old, new))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in _parts(field, value):
                replace_text(part, old, new)


def order_paths(message: Message) -> None:
    """Puts keys before indices in the paths of all events in a message, in place.

    A path of TFX's is one key and one index.
    """
    if isinstance(message, mlmd.Event):
        steps = sorted(message.path.steps, key=lambda step: step.HasField("index"))
        if steps != list(message.path.steps):
            message.path.ClearField("steps")
            message.path.steps.extend(steps)
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in _parts(field, value):
                order_paths(part)


def order_as_asked(request: Message, response: Message) -> None:
    """Gives artifacts, executions or contexts the order in which their ids were asked for.

    Args:
      request: with `artifact_ids`, `execution_ids` or `context_ids`, or any other.
      response: to it; changed in place.
    """
    for kind in ("artifact", "execution", "context"):
        places = {key: index for index, key in enumerate(getattr(request, f"{kind}_ids", ()))}
        found = getattr(response, f"{kind}s", ())
        if places and found:
            found.sort(key=lambda thing, places=places: places[thing.id])


def _parts(field: FieldDescriptor, value: Any) -> list[Message]:
    if isinstance(value, Message):
        return [value]
    if field.message_type.GetOptions().map_entry:
        values = list(value.values())
        return [part for part in values if isinstance(part, Message)]
    return list(value)


def mend_stores() -> None:
    """Does so for every MetadataStore that is connected with PostgreSQL.

    TFX opens stores of its own, from the connection alone: the class itself has to know.
    """
    if getattr(MetadataStore, "_mends_postgresql", False):
        return
    open_original, call_original = MetadataStore.__init__, MetadataStore._pywrap_cc_call

    def opened(self: MetadataStore, config: Any, *arguments: Any, **named: Any) -> None:
        self._on_postgresql = isinstance(config, mlmd.ConnectionConfig) and config.HasField(
            "postgresql"
        )
        open_original(self, config, *arguments, **named)

    def call(self: MetadataStore, method: Any, request: Message, response: Message) -> None:
        if not self._on_postgresql:
            call_original(self, method, request, response)
            return
        sent = type(request)()
        sent.CopyFrom(request)
        replace_text(sent, _BACKSLASH, _SUBSTITUTE)
        call_original(self, method, sent, response)
        replace_text(response, _SUBSTITUTE, _BACKSLASH)
        order_paths(response)
        order_as_asked(request, response)

    MetadataStore.__init__, MetadataStore._pywrap_cc_call = opened, call
    MetadataStore._mends_postgresql = True
