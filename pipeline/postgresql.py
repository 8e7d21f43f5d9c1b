"""Lets ML Metadata keep backslashes on PostgreSQL.

ML Metadata quotes values with libpq, which writes one with a backslash as ` E'…'`; with
quotes around that, the statement is a syntax error (seen with 1.16). JSON within JSON is
full of backslashes. On its way to PostgreSQL a backslash therefore becomes the control
character SUBSTITUTE, which no text of ours has, and on the way back it becomes one again.
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
            if field.label == FieldDescriptor.LABEL_REPEATED:
                value[:] = [text.replace(old, new) for text in value]
            elif old in value:
                setattr(message, field.name, value.replace(old, new))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in _parts(field, value):
                replace_text(part, old, new)


def _parts(field: FieldDescriptor, value: Any) -> list[Message]:
    if field.label != FieldDescriptor.LABEL_REPEATED:
        return [value]
    if field.message_type.GetOptions().map_entry:
        values = list(value.values())
        return [part for part in values if isinstance(part, Message)]
    return list(value)


def keep_backslashes() -> None:
    """Makes every MetadataStore that is connected with PostgreSQL do so.

    TFX opens stores of its own, from the connection alone: the class itself has to know.
    """
    if getattr(MetadataStore, "_keeps_backslashes", False):
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

    MetadataStore.__init__, MetadataStore._pywrap_cc_call = opened, call
    MetadataStore._keeps_backslashes = True
