"""The bus port: what carries messages from whoever publishes to every process that serves streams.

A bus gives every message a number, keeps what a reader may have missed, and hands live messages to its receivers.
These three are one step, so that no reader sees a later message before an earlier one.  Two kinds of message:

- *state*: the newest per (channel, target, event) is all that matters; older ones are forgotten.
- *append*: a piece of a text stream.  The text is kept once per target, and a reader gets the part that it lacks.

A reader's position is ``EPOCH.N``: it has everything up to message N of that epoch.  The rule of convergence, the same
after connecting, overflow or silence: read all channels in one step, send what is newer than the reader's number, and
its number becomes that step's.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from htmx_live.backends.base import Subscriber
from htmx_live.backends.memory.bus import MemoryBus
from htmx_live.backends.redis.bus import RedisBus
from htmx_live.backends.wire import BusMessage, Replay, TextSnapshot
from htmx_live.core.concurrency import after_fork
from htmx_live.core.conf import settings

__all__ = ["Bus", "BusMessage", "MemoryBus", "RedisBus", "Replay", "Subscriber", "TextSnapshot", "bus", "override_bus"]


class Bus(Protocol):
    """Every method may raise ``StoreUnavailable``; ``ValueError`` for a channel or event that cannot be.

    ``epoch`` changes when kept messages have been lost; while a receiver is called it is that of what it is told.
    """

    @property
    def epoch(self) -> str: ...

    def position(self) -> str:
        """Where a page rendered now stands."""

    def now(self) -> float:
        """Seconds since 1970, on a clock that all processes share."""

    def publish(self, channels: Iterable[str], target: str, data: str, *, event: str = "") -> int:
        """A state message; returns its number.  Text slots in ``data`` are filled whenever it is sent."""

    def append(self, channels: Iterable[str], target: str, text: str, *, replace: bool = False) -> int:
        """A piece of the text of ``target``, or all of it; returns its number.

        Past ``MAX_STREAM_TEXT`` the older half is dropped, which begins a new generation.
        """

    def text(self, target: str) -> TextSnapshot | None:
        """The text so far."""

    def clear_texts(self, targets: Iterable[str]) -> None:
        """Forget texts; what was sent of them stays on the pages."""

    def clear_texts_under(self, prefix: str) -> None:
        """Forget the texts whose targets begin with ``prefix``."""

    def read(self, channels: Iterable[str], since: str) -> Replay:
        """What a reader at ``since`` lacks of all these channels, in one step; it keeps the channels alive."""

    def purge(self, channels: Iterable[str]) -> None:
        """Drop what is kept for channels that are not needed any more; a reader who comes all the same is reset."""

    def add_channels(self, page: str, channels: Iterable[str], *, since: str = "") -> None:
        """From now on the page's streams carry these channels too, and reading its own channel reads them.

        ``since`` is the position at which that which the page shows of them was rendered; what came later is sent
        to the page again, as its own.  Without it nothing can have come later.
        """

    def close_streams(self, key: str) -> None:
        """End all streams, in every process, that were opened with this hash of a session cookie."""

    def subscribe(self, subscriber: Subscriber) -> None: ...

    def unsubscribe(self, subscriber: Subscriber) -> None: ...


_lock = threading.Lock()
_bus: Bus | None = None


def bus() -> Bus:
    """This process's bus: on Redis with ``REDIS_URL``, else in memory."""
    global _bus
    if _bus is None:
        with _lock:
            _bus = _bus or (RedisBus() if settings().REDIS_URL else MemoryBus())
    return _bus


@after_fork
def _reset_after_fork() -> None:
    global _lock, _bus
    _lock, _bus = threading.Lock(), None


@contextmanager
def override_bus(other: Bus) -> Iterator[Bus]:
    """Another bus for a while; for tests."""
    global _bus
    before, _bus = _bus, other
    try:
        yield other
    finally:
        _bus = before
