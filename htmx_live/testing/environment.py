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
from htmx_live.backends.notice_store import MemoryNoticeStore, override_notice_store
from htmx_live.backends.wire import BusMessage
from htmx_live.core.scheduler import NoTicker
from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.jobs.watchdog import NoDeadlineMonitor
from htmx_live.messaging.regions import channels_to
from htmx_live.runtime.job_control import executor
from htmx_live.runtime.services import override_services

__all__ = ["LiveEnvironment", "ManualClock", "RecordingTransport", "current_environment", "live_environment", "sent_to"]


class ManualClock:
    """Call it for the time in seconds, which begins at ``now``; it is an ``htmx_live.core.scheduler.Timer``."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = count()

    def __call__(self) -> float:
        return self._now

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (when, next(self._sequence), call))

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
        self.messages: list[BusMessage] = []
        self._observers: list[tuple[list[str], Callable[[BusMessage], None]]] = []
        self.subscribe(_RecordingSubscriber(self))

    def listen(self, channels: list[str], receive: Callable[[BusMessage], None]) -> None:
        """Hand live messages of these channels to ``receive``."""
        self._observers.append((channels, receive))

    def ignore(self, channels: list[str], receive: Callable[[BusMessage], None]) -> None:
        """The reverse of ``listen``."""
        self._observers.remove((channels, receive))

    def record(self, channels: tuple[str, ...], message: BusMessage) -> None:
        self.messages.append(message)
        for listened, receive in list(self._observers):
            if not set(listened).isdisjoint(channels):
                receive(message)


class _RecordingSubscriber:
    """The receiver's side of it; control messages have no stream here to act on."""

    def __init__(self, transport: RecordingTransport) -> None:
        self._transport = transport

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        self._transport.record(channels, message)

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, key: str) -> None: ...

    def resync(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEnvironment:
    clock: ManualClock
    transport: RecordingTransport
    runner: ImmediateRunner


class InlinePool:
    """The pool of turns: a push is applied before the call that pushed returns."""

    def submit(self, call: Callable[[], None]) -> None:
        call()

    def join(self, timeout: float) -> bool:
        return True


_current: LiveEnvironment | None = None
_process_environment: Any = None


@contextmanager
def live_environment() -> Iterator[LiveEnvironment]:
    """A new stage for a while."""
    global _current
    clock = ManualClock()
    environment = LiveEnvironment(
        clock=clock, transport=RecordingTransport(clock=clock), runner=ImmediateRunner(executor)
    )
    previous, _current = _current, environment
    services_override = override_services(
        store=MemoryStore(clock=clock),
        bus=environment.transport,
        runner=environment.runner,
        turn_pool=InlinePool(),
        ticker=NoTicker(),
        is_strict=True,
        timer=clock,
        deadline_monitor=NoDeadlineMonitor(),
    )
    try:
        with (
            override_bus(environment.transport),
            override_notice_store(MemoryNoticeStore(clock=clock)),
            services_override,
        ):
            yield environment
    finally:
        _current = previous


def current_environment() -> LiveEnvironment:
    """The environment of this test; without one, an environment for the rest of the process."""
    global _process_environment
    if _current is None:
        _process_environment = live_environment()
        _process_environment.__enter__()
    assert _current is not None
    return _current


def sent_to(to: Any) -> list[str]:
    """The messages of ``send_fragment`` to a user, a request's page or a ``Topic``, oldest first."""
    channels = channels_to(to)
    messages = current_environment().transport.messages
    return [message.data for message in messages if message.channel in channels and not message.event]
