"""A lock in ML Metadata, for what lies in a bucket: those know none.

ML Metadata lets one client make a context of a name, and refuses the second. So each hold is a
context of its own, whose name has the next number; its holder counts on in it as long as it
lives. One that is given back, or whose count has stood still for a while, is followed by the next.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

_TYPE = "segline.Lease"
_BEAT_SECONDS = 20.0
# Of a holder that says nothing: far more than a database's restart, which all see.
_LOST_AFTER_SECONDS = 300.0
_PAUSE_SECONDS = 5.0
_LOG = logging.getLogger("segline")


@contextlib.contextmanager
def lease(connect: Callable[[], MetadataStore], name: str, holder: str) -> Iterator[None]:
    """Holds a name, after all that hold it before.

    Args:
      connect: opens ML Metadata; twice, since a store is no two threads'.
      name: what is held, `pets/Trainer` for instance.
      holder: for the message of those who wait.
    """
    store = connect()
    held = _take(store, name, holder)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(connect, held, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        _update(store, held, "released", 1)


def _take(store: MetadataStore, name: str, holder: str) -> mlmd.Context:
    context_type = mlmd.ContextType(name=_TYPE)
    context_type.properties["holder"] = mlmd.STRING
    for key in ("beats", "released"):
        context_type.properties[key] = mlmd.INT
    type_id = store.put_context_type(context_type)
    told = ""
    while True:
        number = _latest(store, name)
        latest = store.get_context_by_type_and_name(_TYPE, _numbered(name, number))
        if latest is not None and not _is_over(store, latest):
            other = latest.properties["holder"].string_value
            if other != told:
                _LOG.info("waiting: %s is held by %s", name, other)
                told = other
            continue
        taken = mlmd.Context(type_id=type_id, name=_numbered(name, number + 1))
        taken.properties["holder"].string_value = holder
        try:
            (taken.id,) = store.put_contexts([taken])
        except (errors.AlreadyExistsError, errors.AbortedError):
            continue  # another one was faster
        return taken


def _is_over(store: MetadataStore, latest: mlmd.Context) -> bool:
    """Looks at a hold for a moment, or until its holder must be taken for lost.

    By this machine's clock alone, and only while ML Metadata answers.
    """
    seen, since = None, time.monotonic()
    while True:
        (now,) = store.get_contexts_by_id([latest.id])
        if now.properties["released"].int_value:
            return True
        beats = now.properties["beats"].int_value
        if seen is not None and beats != seen:
            return False
        if seen is not None and time.monotonic() - since > _LOST_AFTER_SECONDS:
            _LOG.warning("%s has given no sign of life: taken for lost", latest.name)
            return True
        seen = beats
        time.sleep(_PAUSE_SECONDS)


def _beat(connect: Callable[[], MetadataStore], held: mlmd.Context, ended: threading.Event) -> None:
    store = None
    beats = 0
    while not ended.wait(_BEAT_SECONDS):
        beats += 1
        try:
            store = store or connect()
            _update(store, held, "beats", beats)
        except Exception as error:  # of all kinds; it may be there again at the next beat
            store = None
            _LOG.warning("%s: ML Metadata does not answer: %s", held.name, error)


def _update(store: MetadataStore, held: mlmd.Context, key: str, value: int) -> None:
    (now,) = store.get_contexts_by_id([held.id])
    now.properties[key].int_value = value
    store.put_contexts([now])


def _latest(store: MetadataStore, name: str) -> int:
    """The highest number that there is; 0: none. They have no gaps."""

    def there(number: int) -> bool:
        return store.get_context_by_type_and_name(_TYPE, _numbered(name, number)) is not None

    low, high = 0, 1
    while there(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if there(middle) else (low, middle)
    return low


def _numbered(name: str, number: int) -> str:
    return f"{name}/{number:08d}"
