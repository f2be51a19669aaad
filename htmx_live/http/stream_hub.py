"""The hub: the receiver of one event loop, which hands messages to the streams open there.

A message is encoded once for all its streams, on the thread of whoever published it, and wakes the loop once.  A
listener keeps what its stream has not sent yet, by rising number:

- of a state message the newest per (channel, target, event); a slow client gets the newest state when it reads.
- every append.

Past a bound a listener is *behind*: it forgets what is pending and takes nothing more, until its stream runs the rule
of convergence.  That always starts with nothing pending, reads at some number N, and makes N the listener's number;
what comes in while it reads stays pending, and what turns out to be covered (not above N) is dropped.

A listener: one open stream's share of the hub.

Its stream sleeps on ``rest()`` until something is to be sent, a beat is due, or it is to end.

Access to a stream: what the layer above says about a request for one.

Checks: whether open streams may go on, asked again before a heartbeat has passed.

    opened (the gate has just looked) ──▶ checked ──▶ due ──▶ with a thread ──▶ revoked: the stream ends
                                             ▲                    │   └─────▶ unknown (database away): due again
                                             └────────────────────┘

A check counts from the moment before it read anything.  A stream sends content for ``validity()`` seconds from there:
what was rendered later than that after a revocation never leaves.  Where a check comes late, the stream holds content
back until it has come.  Streams of one owner are checked together, in batches, and at most ``_AT_ONCE`` batches at a
time.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseError
from django.db import connections

from htmx_live.backends import Bus, bus
from htmx_live.backends.wire import APPEND, BusMessage, Replay, page_channel
from htmx_live.core.concurrency import DaemonPool, run_in_pool
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable
from htmx_live.http import sse

__all__ = [
    "Denial",
    "Frame",
    "Hub",
    "PermissionChecker",
    "StreamAuthorizer",
    "StreamConnection",
    "StreamDenied",
    "StreamEnding",
    "StreamGrant",
    "current_hub",
    "validity",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamGrant:
    """One page may listen on ``channels``, its own among them.

    ``owner`` is whose streams are counted together; ``session`` is a hash of the session cookie or of a visitor's
    token, empty without both: a logout ends the streams with the same hash.  ``user`` is the user's own channel, empty
    for a visitor: ``end_streams()`` ends the streams with the same.  ``sign_in`` is what ``Gate.check`` needs.
    """

    page: str
    owner_key: str
    session_hash: str
    channels: tuple[str, ...]
    user_channel: str = ""
    sign_in: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """No stream; ``status`` as in docs/wire.md."""

    status: int


class StreamDenied(Exception):
    """A stream is not opened; the answer has this status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"The stream was refused with status {status}.")


class StreamAuthorizer(Protocol):
    """What the layer above decides and wants to know about streams.

    Every method is called on a thread of the transport's own, whose database connections are closed afterwards.
    For one stream ``opened`` comes first, ``closed`` last and once, and these and ``renewed`` do not overlap.
    """

    def authorize(self, headers: Mapping[str, str]) -> StreamGrant | Denial:
        """Whether a request with these headers, of lower-case names, may have a stream."""

    def on_open(self, grant: StreamGrant) -> None: ...

    def on_heartbeat(self, grant: StreamGrant) -> None:
        """The stream is still open; said about every ``HEARTBEAT``."""

    def on_close(self, grant: StreamGrant) -> None: ...

    def check(self, grants: Sequence[StreamGrant]) -> Sequence[bool | None]:
        """For each of these open streams whether it may go on; None where that cannot be told now.

        Asked for many at a time; those of one owner come together.
        """


def validity() -> float:
    """Seconds for which a stream sends content after a check: a heartbeat, and at least a second."""
    return max(settings().HEARTBEAT, 1.0)


_T = TypeVar("_T")

_MAX_PENDING_FRAMES = 256  # frames; one more, and the stream reads from the bus instead
_ABORT_AFTER = 3.0  # seconds that a stream has to end by itself: less than a server's patience when it shuts down


class StreamEnding(Exception):
    """The stream is to end, before a call that it waited for has returned."""


class Frame:
    """One message, encoded; shared by all listeners.  Of the frames with one ``key`` only the newest is sent."""

    __slots__ = ("body", "channels", "key", "number")

    def __init__(self, *, channels: tuple[str, ...], key: object, number: int, body: bytes) -> None:
        self.channels, self.key, self.number, self.body = channels, key, number, body


class StreamConnection:
    """Used on its loop only.  ``number`` (of ``epoch``) is that of the last message that its stream has taken."""

    __slots__ = (
        "_abort",
        "_ending_signal",
        "_ends_at",
        "_heartbeat",
        "_loop",
        "_pending",
        "_timer",
        "_validity",
        "_waiter",
        "channels",
        "check",
        "checked_at",
        "epoch",
        "grant",
        "is_draining",
        "is_ending",
        "is_lagging",
        "is_sync_due",
        "number",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        grant: StreamGrant,
        *,
        abort: Callable[[], None],
        check: Callable[[Sequence[StreamGrant]], Sequence[bool | None]],
        checked_at: float,
    ) -> None:
        chosen = settings()
        self.grant = grant
        self.check = check
        self.checked_at = checked_at  # the loop's time before the last check that was passed
        self._validity = validity()
        self.channels = grant.channels
        self.epoch = ""
        self.number = -1  # nothing is covered before the first read
        self.is_lagging = False
        self.is_sync_due = False  # a beat, or a convergence that should not wait for one
        self.is_ending = False
        self.is_draining = False  # while ending: send what is pending
        self._loop = loop
        self._abort = abort
        self._pending: dict[object, Frame] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._ending_signal: asyncio.Future[None] | None = None  # while the stream waits for a call
        self._heartbeat = chosen.HEARTBEAT
        self._ends_at = loop.time() + chosen.STREAM_LIFETIME * random.uniform(0.8, 1.2)
        # Streams opened together, after a restart, shall not beat together for ever.
        self._timer = self._schedule_heartbeat(self._heartbeat * random.uniform(0.5, 1.0))

    # The hub's side

    def queue(self, frame: Frame) -> None:
        """Take a frame to send, unless it is covered, or will be by the convergence to come."""
        if self.is_lagging or frame.number <= self.number:
            return
        pending = self._pending
        pending.pop(frame.key, None)
        pending[frame.key] = frame
        if len(pending) > _MAX_PENDING_FRAMES:
            self.mark_lagging()
        elif self._waiter is not None:
            self._wake()

    def mark_lagging(self) -> None:
        """Something was or may have been lost: converge, as soon as the stream gets to it."""
        self._pending.clear()
        self.is_lagging = self.is_sync_due = True
        self._wake()

    def end(self, *, drain: bool) -> None:
        """End the stream; ``drain`` sends first what is pending.  It is cut if it does not end by itself."""
        if not self.is_ending:
            self.is_ending, self.is_draining = True, drain
            self._timer.cancel()
            self._timer = self._loop.call_later(_ABORT_AFTER, self._abort)
            self._wake()
            if self._ending_signal is not None and not self._ending_signal.done():
                self._ending_signal.set_result(None)

    def stop(self) -> None:
        """The stream has ended."""
        self._timer.cancel()
        self._pending.clear()

    @property
    def is_checked(self) -> bool:
        """Whether the last check is recent enough to send content."""
        return self._loop.time() < self.checked_at + self._validity

    def end_check(self, at: float) -> None:
        """A check that began ``at`` was passed: send what was held back."""
        self.checked_at = at
        if self.is_lagging:
            self.is_sync_due = True
        self._wake()

    # The stream's side

    def wait(self) -> "asyncio.Future[None] | None":
        """What to await before looking again; None when there is something to do."""
        if self.is_sync_due or self.is_ending or (self._pending and self.is_checked):
            return None
        self._waiter = self._loop.create_future()
        return self._waiter

    async def wait_for(self, call: Coroutine[Any, Any, _T]) -> _T:
        """The result of ``call``.  Raise ``Ending`` as soon as the stream is to end, even if the call takes longer."""
        task, self._ending_signal = asyncio.ensure_future(call), self._loop.create_future()
        try:
            if not self.is_ending:
                await asyncio.wait((task, self._ending_signal), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise StreamEnding
        finally:
            task.cancel()
            self._ending_signal = None

    def drain(self) -> bytes:
        """What is pending, in order; the listener's number becomes that of the last."""
        frames = list(self._pending.values())
        self._pending.clear()
        if not frames:
            return b""
        self.number = frames[-1].number
        return frames[0].body if len(frames) == 1 else b"".join([frame.body for frame in frames])

    def begin_sync(self) -> None:
        """Start a convergence: what comes in from now on is kept, and what is pending will be read."""
        self.is_sync_due = self.is_lagging = False
        self._pending.clear()

    def end_sync(self, epoch: str, number: int) -> None:
        """The convergence has brought everything up to ``number`` of ``epoch``."""
        self.epoch, self.number = epoch, number
        for key in [key for key, frame in self._pending.items() if frame.number <= number]:
            del self._pending[key]

    def fail_sync(self) -> None:
        """The convergence has not read; the next beat, or the client's next stream, tries again."""
        self._pending.clear()
        self.is_lagging = True

    def _on_heartbeat(self) -> None:
        if self._loop.time() >= self._ends_at:
            self.end(drain=True)
            return
        self.is_sync_due = True
        self._wake()
        self._timer = self._schedule_heartbeat(self._heartbeat)

    def _schedule_heartbeat(self, delay: float) -> asyncio.TimerHandle:
        return self._loop.call_at(min(self._loop.time() + delay, self._ends_at), self._on_heartbeat)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


logger = logging.getLogger("htmx_live.http")

_BATCH_SIZE = 200  # streams
_MAX_BATCHES = 2  # batches
_DUE_AFTER = 0.7  # of the validity: the rest is for a check to take place
_CHECK_INTERVAL = 0.05  # of the validity, between two looks for streams that are due

_check_pool = DaemonPool("htmx-live-check", lambda: _MAX_BATCHES, after_each_call=connections.close_all)


class PermissionChecker:
    """Of one hub, on its loop; ``listeners()`` are those of its streams."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, get_connections: Callable[[], Iterable[StreamConnection]]
    ) -> None:
        self._loop, self._get_connections = loop, get_connections
        self._timer: asyncio.TimerHandle | None = None
        self._in_progress: set[StreamConnection] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._is_late = False  # a check was not possible, and that has been logged

    def start(self) -> None:
        """Check from now on, while there are streams."""
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL * validity(), self._check_due)

    def _check_due(self) -> None:
        self._timer = None
        listeners = list(self._get_connections())
        if listeners:
            self._start_batches(listeners)
            self.start()

    def _start_batches(self, listeners: Sequence[StreamConnection]) -> None:
        before = self._loop.time() - _DUE_AFTER * validity()
        due = {each.grant.owner_key for each in listeners if each.checked_at <= before}
        chosen = [each for each in listeners if each.grant.owner_key in due and each not in self._in_progress]
        chosen.sort(key=lambda each: each.checked_at)
        while chosen and len(self._batches) < _MAX_BATCHES:
            batch, chosen = chosen[:_BATCH_SIZE], chosen[_BATCH_SIZE:]
            self._in_progress.update(batch)
            task = self._loop.create_task(self._check_batch(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    async def _check_batch(self, batch: list[StreamConnection]) -> None:
        try:
            began, (decisions, is_late) = await run_in_pool(
                _check_pool, lambda: (self._loop.time(), _check_connections(batch))
            )
            for listener, may_go_on in zip(batch, decisions, strict=True):
                if may_go_on:
                    listener.end_check(began)
                elif may_go_on is False:
                    listener.end(drain=False)
            self._log_lateness(is_late=is_late)
        finally:
            self._in_progress.difference_update(batch)
        self._start_batches(list(self._get_connections()))

    def _log_lateness(self, *, is_late: bool) -> None:
        if is_late and not self._is_late:
            logger.warning("Open streams could not be checked. They hold content back until they can be.")
        elif self._is_late and not is_late:
            logger.warning("Open streams can be checked again.")
        self._is_late = is_late


def _check_connections(batch: list[StreamConnection]) -> tuple[list[bool | None], bool]:
    """For each stream whether it may go on, None where that cannot be told now; and whether a database is to blame.

    While the store is away, its own two lines in the log say so.
    """
    results: dict[StreamConnection, bool | None] = {}
    is_late = False
    for check in dict.fromkeys(listener.check for listener in batch):
        same_check = [listener for listener in batch if listener.check == check]
        found: Sequence[bool | None] = [None] * len(same_check)
        try:
            found = check([listener.grant for listener in same_check])
            is_late |= None in found
        except StoreUnavailable as error:
            log_unavailable(logger, error, "checks of streams", "Open streams could not be checked")
        except DatabaseError:
            is_late = True
        except Exception:  # a boundary: what may be wrong with one stream must not keep the others from being checked
            logger.exception("Streams could not be checked and end")
            found = [False] * len(same_check)
        results.update(zip(same_check, found, strict=True))
    return [results[listener] for listener in batch], is_late


class Hub:
    """Listeners by channel.  But for the receiver's methods, everything is called on the hub's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Bus) -> None:
        self.bus = source
        self.loop = loop
        self.is_closing = False
        self._connections_by_channel: dict[str, set[StreamConnection]] = {}
        self._connections: set[StreamConnection] = set()
        self._streams_by_owner: Counter[str] = Counter()
        self._closed_while_opening: list[set[str]] = []  # for each stream being opened: the sessions closed meanwhile
        self._inbox: deque[Frame | Callable[[], None]] = deque()
        self._is_woken = False
        self._additions_requested = 0  # written under the bus's lock
        self._additions_applied = 0  # written on the loop
        self._is_loop_closed = False  # the loop has ended, and its streams with it
        self._permission_checker = PermissionChecker(loop, lambda: self._connections)
        self._closing: asyncio.Task[None] | None = None  # see close_after()

    def __len__(self) -> int:
        """How many streams are open here."""
        return len(self._connections)

    # Receiver: from any thread, in the bus's order

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        # Reading without a lock is enough: a listener registers first and reads the bus after that.  Who joins reads
        # nothing, so while that is on its way every channel may be heard.
        if self._additions_requested != self._additions_applied or any(
            channel in self._connections_by_channel for channel in channels
        ):
            position = f"{self.bus.epoch}.{message.number}"
            body = sse.event(message.data, name=message.event, position=position)
            key = message.number if message.event == APPEND else (channels[0], message.target, message.event)
            self._enqueue(Frame(channels=channels, key=key, number=message.number, body=body))

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None:
        self._additions_requested += 1
        self._enqueue(partial(self._add_channels_to_page, page_channel(page), channels))

    def close_streams(self, key: str) -> None:
        if key:
            self._enqueue(partial(self._close_streams, key))

    def resync(self) -> None:
        self._enqueue(self._resync)

    def _enqueue(self, item: Frame | Callable[[], None]) -> None:
        if self._is_loop_closed:
            return
        self._inbox.append(item)
        if not self._is_woken:
            self._is_woken = True
            try:
                self.loop.call_soon_threadsafe(self._process_inbox)
            except RuntimeError:  # what a closed loop raises
                self._is_loop_closed = True
                self._inbox.clear()

    # On the loop

    def _process_inbox(self) -> None:
        self._is_woken = False  # before looking: what is posted later wakes again
        newest: dict[object, Frame] = {}
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if isinstance(item, Frame):
                newest.pop((item.channels, item.key), None)  # goes to the end: frames stay in the order of numbers
                newest[item.channels, item.key] = item
            else:
                self._fan_out(newest.values())
                newest.clear()
                item()
        self._fan_out(newest.values())

    def _fan_out(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            groups = [self._connections_by_channel.get(channel, ()) for channel in frame.channels]
            for listener in groups[0] if len(groups) == 1 else set().union(*groups):
                listener.queue(frame)

    def _add_channels_to_page(self, own: str, channels: tuple[str, ...]) -> None:
        for listener in tuple(self._connections_by_channel.get(own, ())):
            self._add_channels_to_connection(listener, channels)
        self._additions_applied += 1

    def _close_streams(self, key: str) -> None:
        for closed in self._closed_while_opening:
            closed.add(key)
        for listener in [
            each for each in self._connections if key in (each.grant.session_hash, each.grant.user_channel)
        ]:
            listener.end(drain=False)

    def _resync(self) -> None:
        for listener in self._connections:
            listener.mark_lagging()

    @contextmanager
    def opening(self) -> Iterator[set[str]]:
        """The sessions whose streams were closed while this block ran: its own may be one of them."""
        if self.is_closing:
            raise StreamDenied(503)
        if len(self._connections) + len(self._closed_while_opening) >= settings().MAX_STREAMS:
            raise StreamDenied(429)
        closed: set[str] = set()
        self._closed_while_opening.append(closed)
        try:
            yield closed
        finally:
            self._closed_while_opening = [each for each in self._closed_while_opening if each is not closed]

    def add_connection(
        self, grant: StreamGrant, *, authorizer: StreamAuthorizer, abort: Callable[[], None], checked_at: float
    ) -> StreamConnection:
        """Add a connection; ``StreamDenied`` when its owner has too many.  ``abort`` ends one that does not end itself.

        ``authorizer`` let it in, and began to look at ``checked_at``.
        """
        if self._streams_by_owner[grant.owner_key] >= settings().MAX_STREAMS_PER_OWNER:
            raise StreamDenied(429)
        if self.is_closing:
            raise StreamDenied(503)
        listener = StreamConnection(self.loop, grant, abort=abort, check=authorizer.check, checked_at=checked_at)
        self._streams_by_owner[grant.owner_key] += 1
        self._connections.add(listener)
        self._index(listener, listener.channels)
        self._permission_checker.start()
        return listener

    def end_sync(self, connection: StreamConnection, replay: Replay) -> None:
        """Note what a convergence has read.

        A channel that the page joined while nothing was heard is new here, and what it got since the read is not known:
        the listener hears it from now on, and converges once more.
        """
        connection.end_sync(replay.epoch, replay.number)
        if unheard := set(replay.channels).difference(connection.channels):
            self._add_channels_to_connection(connection, tuple(unheard))
            connection.mark_lagging()

    def remove_connection(self, connection: StreamConnection) -> None:
        """Forget a listener; harmless when that is done."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        connection.stop()
        owner = connection.grant.owner_key
        self._streams_by_owner[owner] -= 1
        if not self._streams_by_owner[owner]:
            del self._streams_by_owner[owner]
        for channel in connection.channels:
            group = self._connections_by_channel[channel]
            group.discard(connection)
            if not group:
                del self._connections_by_channel[channel]

    def close(self) -> None:
        """End all streams, and open none any more: the server is going down."""
        self.is_closing = True
        for listener in tuple(self._connections):
            listener.end(drain=True)

    def close_after(self, wait_for_shutdown: Callable[[], Awaitable[object]]) -> None:
        """Close when ``told()`` returns; only the first call counts."""

        async def wait() -> None:
            await wait_for_shutdown()
            self.close()

        if self._closing is None:
            self._closing = self.loop.create_task(wait())

    def _add_channels_to_connection(self, connection: StreamConnection, channels: tuple[str, ...]) -> None:
        connection.channels = tuple(dict.fromkeys((*connection.channels, *channels)))
        self._index(connection, channels)

    def _index(self, connection: StreamConnection, channels: Iterable[str]) -> None:
        for channel in channels:
            self._connections_by_channel.setdefault(channel, set()).add(connection)


_lock = Lock()
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current_hub() -> Hub:
    """The running loop's hub on this process's bus."""
    loop, source = asyncio.get_running_loop(), bus()
    with _lock:
        hub = _hubs.get(loop)
        if hub is None or hub.bus is not source:
            for ended in [each for each in _hubs if each.is_closed()]:
                _hubs[ended].bus.unsubscribe(_hubs.pop(ended))
            hub = _hubs[loop] = Hub(loop, source)
            source.subscribe(hub)
        return hub
