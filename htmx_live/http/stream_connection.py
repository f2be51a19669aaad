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

from htmx_live.backends.wire import Replay
from htmx_live.core.concurrency import call_soon, run_on_heartbeat, run_on_open
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable
from htmx_live.http import sse
from htmx_live.http.stream_hub import (
    Denial,
    Hub,
    StreamAuthorizer,
    StreamConnection,
    StreamDenied,
    StreamEnding,
    StreamGrant,
    current_hub,
)

__all__ = ["STREAM_HEADERS", "PresenceReporter", "StreamBody", "generate_stream", "open_connection"]


logger = logging.getLogger("htmx_live.http")


class PresenceReporter:
    """``opened`` and ``renewed`` are called on a thread, ``close`` on the loop, at any moment and without waiting."""

    __slots__ = ("_authorizer", "_grant", "_is_closed", "_is_open", "_lock")

    def __init__(self, authorizer: StreamAuthorizer, grant: StreamGrant) -> None:
        self._authorizer, self._grant = authorizer, grant
        self._lock = Lock()  # held during a call, so that the last word is the right one
        self._is_open = self._is_closed = False

    def report_open(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_open = True
                self._authorizer.on_open(self._grant)

    def report_heartbeat(self) -> None:
        with self._lock:
            if not self._is_closed:
                try:
                    self._authorizer.on_heartbeat(self._grant)
                except StoreUnavailable as error:  # the stream lives on; the next beat says it again
                    message = "The presence of page %s could not be renewed"
                    log_unavailable(logger, error, "renewals of presence", message, self._grant.page)

    def report_close(self) -> None:
        call_soon(self._report_close)

    def _report_close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._is_open:
                try:
                    self._authorizer.on_close(self._grant)
                except StoreUnavailable as error:  # the page counts as present until its last heartbeat expires
                    message = "The end of page %s could not be stored"
                    log_unavailable(logger, error, "ends of presence", message, self._grant.page)


# no-transform and identity keep proxies and middleware from compressing, which would hold events back.
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
}


class StreamBody(Protocol):
    """Makes the chunks of a stream; see ``stream()``, which is one once it has its gate."""

    def __call__(self, headers: Mapping[str, str], *, abort: Callable[[], None]) -> AsyncGenerator[bytes, None]: ...


async def generate_stream(
    authorizer: StreamAuthorizer, headers: Mapping[str, str], *, abort: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """The chunks of a stream for a request with these headers, of lower-case names.

    Raises ``StreamDenied`` before the first chunk.  ``abort`` is called when the client does not take the stream's end.
    """
    hub, since = current_hub(), headers.get("last-event-id", "")
    connection = await open_connection(hub, authorizer, headers, abort=abort)
    del headers  # a stream lives long, and its memory counts
    presence = PresenceReporter(authorizer, connection.grant)
    try:
        yield await _first_chunk(hub, connection, presence, since)
        while not connection.is_ending:
            if sleep := connection.wait():
                await sleep
            elif connection.is_sync_due:
                if chunk := await _heartbeat_chunk(hub, connection, presence):
                    yield chunk
            else:
                yield connection.drain()
        yield (connection.drain() if connection.is_draining and connection.is_checked else b"") + sse.BYE
    finally:
        hub.remove_connection(connection)
        presence.report_close()


async def open_connection(
    hub: Hub, authorizer: StreamAuthorizer, headers: Mapping[str, str], *, abort: Callable[[], None]
) -> StreamConnection:
    """A listener for a new stream, which must leave the hub at the end; raises ``Refused``."""
    with hub.opening() as closed:
        try:
            checked_at, grant = await run_on_open(lambda: (hub.loop.time(), authorizer.authorize(headers)))
        except StoreUnavailable:
            raise StreamDenied(503) from None
        if isinstance(grant, Denial):
            raise StreamDenied(grant.status)
        if not closed.isdisjoint((grant.session_hash, grant.user_channel)):
            raise StreamDenied(401)
        return hub.add_connection(grant, authorizer=authorizer, abort=abort, checked_at=checked_at)


async def _first_chunk(hub: Hub, connection: StreamConnection, presence: PresenceReporter, since: str) -> bytes:
    """The greeting and what the client lacks.  Nothing is greeted that cannot be served: see ``hello`` in wire.md."""

    def call() -> Replay:
        presence.report_open()
        return hub.bus.read(connection.channels, since)

    try:
        replay = await connection.wait_for(run_on_open(call))
    except StoreUnavailable:
        raise StreamDenied(503) from None
    except StreamEnding:
        raise StreamDenied(503 if connection.is_draining else 401) from None
    if not connection.is_checked:
        raise StreamDenied(503)
    hub.end_sync(connection, replay)
    hello = sse.hello(heartbeat=settings().HEARTBEAT, retry=random.randint(1000, 3000))
    return hello + _encode_replay(replay) + sse.heartbeat(replay.position)


async def _heartbeat_chunk(hub: Hub, connection: StreamConnection, presence: PresenceReporter) -> bytes:
    """The rule of convergence, from where the listener stands; only a sign of life while a check is late."""
    since = f"{connection.epoch}.{connection.number}"

    def call() -> Replay:
        presence.report_heartbeat()
        return hub.bus.read(connection.channels, since)

    connection.begin_sync()
    try:
        replay = await connection.wait_for(run_on_heartbeat(call))
    except StreamEnding:
        connection.fail_sync()
        return b""
    except StoreUnavailable as error:
        connection.fail_sync()
        log_unavailable(logger, error, "heartbeats of streams", "A stream could not catch up and will try again")
        return sse.heartbeat()
    if not connection.is_checked:
        connection.fail_sync()
        return sse.heartbeat()
    hub.end_sync(connection, replay)
    return _encode_replay(replay) + sse.heartbeat(replay.position)


def _encode_replay(replay: Replay) -> bytes:
    if replay.is_reset:
        return sse.reset(replay.position)
    return b"".join(
        sse.event(message.data, name=message.event, position=f"{replay.epoch}.{message.number}")
        for message in replay.messages
    )
