"""The stage: the parts that live views run on in a test.

The real store and bus on a clock that the test moves, and a runner whose jobs wait for the test.

``ManualClock``: time that passes when a test says so.

``RecordingTransport``: a bus that remembers what it was given to send.

What was sent without a live view, as a test sees it.
"""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from htmx_live.backends import MemoryBus, override_bus
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.backends.notice_store import MemoryNotices, override_notices
from htmx_live.backends.wire import Message
from htmx_live.core.scheduler import NoTicker
from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.jobs.watchdog import NoWatcher
from htmx_live.messaging.regions import channels_to
from htmx_live.runtime.job_control import perform
from htmx_live.runtime.services import override

__all__ = ["ManualClock", "RecordingTransport", "Stage", "current_stage", "sent_to", "stage"]


class ManualClock:
    """Call it for the time in seconds, which begins at ``now``; it is an ``htmx_live.core.scheduler.Timer``."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def __call__(self) -> float:
        return self._now

    def at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (when, next(self._order), call))

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due in between is called at its time."""
        if seconds < 0:
            raise ValueError(f"A clock cannot be advanced by {seconds} s: it never runs backwards.")
        until = self._now + seconds
        while self._calls and self._calls[0][0] <= until:
            when, _, call = heapq.heappop(self._calls)
            self._now = max(self._now, when)
            call()
        self._now = until


class RecordingTransport(MemoryBus):
    """The bus of one process; ``messages`` are those that were sent, in order, whoever listened."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.messages: list[Message] = []
        self._listeners: list[tuple[list[str], Callable[[Message], None]]] = []
        self.subscribe(_Recorder(self))

    def listen(self, channels: list[str], receive: Callable[[Message], None]) -> None:
        """Hand live messages of these channels to ``receive``."""
        self._listeners.append((channels, receive))

    def ignore(self, channels: list[str], receive: Callable[[Message], None]) -> None:
        """The reverse of ``listen``."""
        self._listeners.remove((channels, receive))

    def record(self, channels: tuple[str, ...], message: Message) -> None:
        self.messages.append(message)
        for listened, receive in list(self._listeners):
            if not set(listened).isdisjoint(channels):
                receive(message)


class _Recorder:
    """The receiver's side of it; control messages have no stream here to act on."""

    def __init__(self, transport: RecordingTransport) -> None:
        self._transport = transport

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        self._transport.record(channels, message)

    def join(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, session: str) -> None: ...

    def converge(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    clock: ManualClock
    transport: RecordingTransport
    runner: ImmediateRunner


class _AtOnce:
    """The pool of turns: a push is applied before the call that pushed returns."""

    def submit(self, call: Callable[[], None]) -> None:
        call()

    def settle(self, patience: float) -> bool:
        return True


_current: Stage | None = None
_kept: Any = None


@contextmanager
def stage() -> Iterator[Stage]:
    """A new stage for a while."""
    global _current
    clock = ManualClock()
    built = Stage(clock=clock, transport=RecordingTransport(clock=clock), runner=ImmediateRunner(perform))
    before, _current = _current, built
    chosen = override(
        store=MemoryStore(clock=clock),
        bus=built.transport,
        runner=built.runner,
        turns=_AtOnce(),
        ticker=NoTicker(),
        is_strict=True,
        timer=clock,
        watcher=NoWatcher(),
    )
    try:
        with override_bus(built.transport), override_notices(MemoryNotices(clock=clock)), chosen:
            yield built
    finally:
        _current = before


def current_stage() -> Stage:
    """The stage of this test; without one (no fixture, no ``with stage()``), one for the rest of the process."""
    global _kept
    if _current is None:
        _kept = stage()
        _kept.__enter__()
    assert _current is not None
    return _current


def sent_to(to: Any) -> list[str]:
    """The messages of ``send_fragment`` to a user, a request's page or a ``Topic``, oldest first."""
    channels = channels_to(to)
    messages = current_stage().transport.messages
    return [message.data for message in messages if message.channel in channels and not message.event]
