"""One stream: the body of a response that lasts as long as its page.

    opening ── gate refuses, too many, session closed, bus away ──▶ Refused: an ordinary answer, no stream
       │ listen, then read (hello, what was missed)
       ▼
    waiting ── frames pending ──▶ send them
       ▲ │──── beat due, or behind ──▶ read again: what was missed, or reset; then the beat with the new position
       │ ▼
       └─┴──── told to end (lifetime, logout, shutdown), also in the middle of a read ──▶ bye

Listening comes before reading, so that nothing falls between; what both bring is dropped by its number.  A beat reads
again even if nothing seems to be missing: a hand-over that was lost anywhere is made good within one heartbeat.

Presence: tells the gate, in order, that one stream is open, still open and closed.
"""

import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from threading import Lock
from typing import Protocol

from htmx_live.backends.wire import Catchup
from htmx_live.core.concurrency import at_beat, at_door, in_background
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable
from htmx_live.http import sse
from htmx_live.http.stream_hub import Access, Ending, Gate, Hub, Listener, Refusal, Refused, current_hub

__all__ = ["HEADERS", "Body", "Presence", "admit", "stream"]


logger = logging.getLogger("htmx_live.transport")


class Presence:
    """``opened`` and ``renewed`` are called on a thread, ``close`` on the loop, at any moment and without waiting."""

    __slots__ = ("_access", "_gate", "_is_closed", "_is_open", "_lock")

    def __init__(self, gate: Gate, access: Access) -> None:
        self._gate, self._access = gate, access
        self._lock = Lock()  # held during a call, so that the last word is the right one
        self._is_open = self._is_closed = False

    def opened(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_open = True
                self._gate.opened(self._access)

    def renewed(self) -> None:
        with self._lock:
            if not self._is_closed:
                try:
                    self._gate.renewed(self._access)
                except StoreUnavailable as error:  # the stream lives on; the next beat says it again
                    message = "The presence of page %s could not be renewed"
                    log_unavailable(logger, error, "renewals of presence", message, self._access.page)

    def close(self) -> None:
        in_background(self._close)

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._is_open:
                try:
                    self._gate.closed(self._access)
                except StoreUnavailable as error:  # the page counts as present until its last heartbeat expires
                    message = "The end of page %s could not be stored"
                    log_unavailable(logger, error, "ends of presence", message, self._access.page)


# no-transform and identity keep proxies and middleware from compressing, which would hold events back.
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
}


class Body(Protocol):
    """Makes the chunks of a stream; see ``stream()``, which is one once it has its gate."""

    def __call__(self, headers: Mapping[str, str], *, cut: Callable[[], None]) -> AsyncGenerator[bytes, None]: ...


async def stream(gate: Gate, headers: Mapping[str, str], *, cut: Callable[[], None]) -> AsyncGenerator[bytes, None]:
    """The chunks of a stream for a request with these headers, of lower-case names.

    Raises ``Refused`` before the first chunk.  ``cut`` is called when the client does not take the end of the stream.
    """
    hub, since = current_hub(), headers.get("last-event-id", "")
    listener = await admit(hub, gate, headers, cut=cut)
    del headers  # a stream lives long, and its memory counts
    presence = Presence(gate, listener.access)
    try:
        yield await _first(hub, listener, presence, since)
        while not listener.is_ending:
            if sleep := listener.rest():
                await sleep
            elif listener.is_due:
                if chunk := await _beat(hub, listener, presence):
                    yield chunk
            else:
                yield listener.take()
        yield (listener.take() if listener.is_draining and listener.is_checked else b"") + sse.BYE
    finally:
        hub.leave(listener)
        presence.close()


async def admit(hub: Hub, gate: Gate, headers: Mapping[str, str], *, cut: Callable[[], None]) -> Listener:
    """A listener for a new stream, which must leave the hub at the end; raises ``Refused``."""
    with hub.opening() as closed:
        try:
            began, access = await at_door(lambda: (hub.loop.time(), gate.open(headers)))
        except StoreUnavailable:
            raise Refused(503) from None
        if isinstance(access, Refusal):
            raise Refused(access.status)
        if not closed.isdisjoint((access.session, access.user)):
            raise Refused(401)
        return hub.listen(access, gate=gate, cut=cut, checked_at=began)


async def _first(hub: Hub, listener: Listener, presence: Presence, since: str) -> bytes:
    """The greeting and what the client lacks.  Nothing is greeted that cannot be served: see ``hello`` in wire.md."""

    def call() -> Catchup:
        presence.opened()
        return hub.bus.read(listener.channels, since)

    try:
        catchup = await listener.wait_for(at_door(call))
    except StoreUnavailable:
        raise Refused(503) from None
    except Ending:
        raise Refused(503 if listener.is_draining else 401) from None
    if not listener.is_checked:
        raise Refused(503)
    hub.have_read(listener, catchup)
    hello = sse.hello(heartbeat=settings().HEARTBEAT, retry=random.randint(1000, 3000))
    return hello + _encoded(catchup) + sse.beat(catchup.position)


async def _beat(hub: Hub, listener: Listener, presence: Presence) -> bytes:
    """The rule of convergence, from where the listener stands; only a sign of life while a check is late."""
    since = f"{listener.epoch}.{listener.number}"

    def call() -> Catchup:
        presence.renewed()
        return hub.bus.read(listener.channels, since)

    listener.begin_reading()
    try:
        catchup = await listener.wait_for(at_beat(call))
    except Ending:
        listener.have_failed()
        return b""
    except StoreUnavailable as error:
        listener.have_failed()
        log_unavailable(logger, error, "heartbeats of streams", "A stream could not catch up and will try again")
        return sse.beat()
    if not listener.is_checked:
        listener.have_failed()
        return sse.beat()
    hub.have_read(listener, catchup)
    return _encoded(catchup) + sse.beat(catchup.position)


def _encoded(catchup: Catchup) -> bytes:
    if catchup.reset:
        return sse.reset(catchup.position)
    return b"".join(
        sse.event(message.data, name=message.event, position=f"{catchup.epoch}.{message.number}")
        for message in catchup.messages
    )
