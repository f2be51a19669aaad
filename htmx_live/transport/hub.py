"""The hub: the receiver of one event loop, which hands messages to the streams open there.

A message is encoded once for all its streams, on the thread of whoever published it, and wakes the loop once.  A
listener keeps what its stream has not sent yet, by rising number:

- of a state message the newest per (channel, target, event); a slow client gets the newest state when it reads.
- every append.

Past a bound a listener is *behind*: it forgets what is pending and takes nothing more, until its stream runs the rule
of convergence.  That always starts with nothing pending, reads at some number N, and makes N the listener's number;
what comes in while it reads stays pending, and what turns out to be covered (not above N) is dropped.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary

from htmx_live.conf import settings
from htmx_live.transport import sse
from htmx_live.transport.access import Access, Gate, Refused
from htmx_live.transport.bus import Bus, bus
from htmx_live.transport.channels import page_channel
from htmx_live.transport.checks import Checks
from htmx_live.transport.listener import Frame, Listener
from htmx_live.transport.messages import APPEND, Catchup, Message

__all__ = ["Hub", "current_hub"]


class Hub:
    """Listeners by channel.  But for the receiver's methods, everything is called on the hub's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Bus) -> None:
        self.bus = source
        self.loop = loop
        self.is_closing = False
        self._by_channel: dict[str, set[Listener]] = {}
        self._listeners: set[Listener] = set()
        self._owners: Counter[str] = Counter()
        self._openings: list[set[str]] = []  # for each stream being opened: the sessions closed meanwhile
        self._inbox: deque[Frame | Callable[[], None]] = deque()
        self._is_woken = False
        self._joins_asked = 0  # written under the bus's lock
        self._joins_done = 0  # written on the loop
        self._is_dead = False  # the loop has ended, and its streams with it
        self._checks = Checks(loop, lambda: self._listeners)
        self._closing: asyncio.Task[None] | None = None  # see close_after()

    def __len__(self) -> int:
        """How many streams are open here."""
        return len(self._listeners)

    # Receiver: from any thread, in the bus's order

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        # Reading without a lock is enough: a listener registers first and reads the bus after that.  Who joins reads
        # nothing, so while that is on its way every channel may be heard.
        if self._joins_asked != self._joins_done or any(channel in self._by_channel for channel in channels):
            position = f"{self.bus.epoch}.{message.number}"
            body = sse.event(message.data, name=message.event, position=position)
            key = message.number if message.event == APPEND else (channels[0], message.target, message.event)
            self._post(Frame(channels=channels, key=key, number=message.number, body=body))

    def join(self, page: str, channels: tuple[str, ...]) -> None:
        self._joins_asked += 1
        self._post(partial(self._join, page_channel(page), channels))

    def close_streams(self, session: str) -> None:
        if session:
            self._post(partial(self._close_streams, session))

    def converge(self) -> None:
        self._post(self._converge)

    def _post(self, item: Frame | Callable[[], None]) -> None:
        if self._is_dead:
            return
        self._inbox.append(item)
        if not self._is_woken:
            self._is_woken = True
            try:
                self.loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # what a closed loop raises
                self._is_dead = True
                self._inbox.clear()

    # On the loop

    def _drain(self) -> None:
        self._is_woken = False  # before looking: what is posted later wakes again
        newest: dict[object, Frame] = {}
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if isinstance(item, Frame):
                newest.pop((item.channels, item.key), None)  # goes to the end: frames stay in the order of numbers
                newest[item.channels, item.key] = item
            else:
                self._spread(newest.values())
                newest.clear()
                item()
        self._spread(newest.values())

    def _spread(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            groups = [self._by_channel.get(channel, ()) for channel in frame.channels]
            for listener in groups[0] if len(groups) == 1 else set().union(*groups):
                listener.put(frame)

    def _join(self, own: str, channels: tuple[str, ...]) -> None:
        for listener in tuple(self._by_channel.get(own, ())):
            self._add(listener, channels)
        self._joins_done += 1

    def _close_streams(self, session: str) -> None:
        for closed in self._openings:
            closed.add(session)
        for listener in [each for each in self._listeners if session in (each.access.session, each.access.user)]:
            listener.end(drain=False)

    def _converge(self) -> None:
        for listener in self._listeners:
            listener.fall_behind()

    @contextmanager
    def opening(self) -> Iterator[set[str]]:
        """The sessions whose streams were closed while this block ran: its own may be one of them."""
        if self.is_closing:
            raise Refused(503)
        if len(self._listeners) + len(self._openings) >= settings().MAX_STREAMS:
            raise Refused(429)
        closed: set[str] = set()
        self._openings.append(closed)
        try:
            yield closed
        finally:
            self._openings = [each for each in self._openings if each is not closed]

    def listen(self, access: Access, *, gate: Gate, cut: Callable[[], None], checked_at: float) -> Listener:
        """A new listener; ``Refused`` when its owner has too many.  ``cut`` ends a stream that does not end itself.

        ``gate`` let it in, and began to look at ``checked_at``.
        """
        if self._owners[access.owner] >= settings().MAX_STREAMS_PER_OWNER:
            raise Refused(429)
        if self.is_closing:
            raise Refused(503)
        listener = Listener(self.loop, access, cut=cut, check=gate.check, checked_at=checked_at)
        self._owners[access.owner] += 1
        self._listeners.add(listener)
        self._index(listener, listener.channels)
        self._checks.start()
        return listener

    def have_read(self, listener: Listener, catchup: Catchup) -> None:
        """Note what a convergence has read.

        A channel that the page joined while nothing was heard is new here, and what it got since the read is not known:
        the listener hears it from now on, and converges once more.
        """
        listener.have_read(catchup.epoch, catchup.number)
        if unheard := set(catchup.channels).difference(listener.channels):
            self._add(listener, tuple(unheard))
            listener.fall_behind()

    def leave(self, listener: Listener) -> None:
        """Forget a listener; harmless when that is done."""
        if listener not in self._listeners:
            return
        self._listeners.discard(listener)
        listener.stop()
        owner = listener.access.owner
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]
        for channel in listener.channels:
            group = self._by_channel[channel]
            group.discard(listener)
            if not group:
                del self._by_channel[channel]

    def close(self) -> None:
        """End all streams, and open none any more: the server is going down."""
        self.is_closing = True
        for listener in tuple(self._listeners):
            listener.end(drain=True)

    def close_after(self, told: Callable[[], Awaitable[object]]) -> None:
        """Close when ``told()`` returns; only the first call counts."""

        async def wait() -> None:
            await told()
            self.close()

        if self._closing is None:
            self._closing = self.loop.create_task(wait())

    def _add(self, listener: Listener, channels: tuple[str, ...]) -> None:
        listener.channels = tuple(dict.fromkeys((*listener.channels, *channels)))
        self._index(listener, channels)

    def _index(self, listener: Listener, channels: Iterable[str]) -> None:
        for channel in channels:
            self._by_channel.setdefault(channel, set()).add(listener)


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
