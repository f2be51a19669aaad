"""Buses for the contract suite: every implementation runs every test of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from htmx_live.redis_connection import RedisConnection
from htmx_live.testing import ManualClock
from htmx_live.transport.bus import Bus, MemoryBus, RedisBus
from htmx_live.transport.messages import Message
from tests.redis_server import RedisServer

PATIENCE = 10.0  # seconds until what is not heard fails the test
SETTLED = "settled "


@dataclass
class Recorder:
    """A receiver that writes down what it gets, in order; ``settle()`` returns when it has got all."""

    settle: Callable[[], None] = lambda: None
    noted: list[object] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def heard(self) -> list[object]:
        self.settle()
        with self.changed:
            return [each for each in self.noted if not (isinstance(each, tuple) and each[1].startswith(SETTLED))]

    @property
    def messages(self) -> list[Message]:
        return [each for each in self.heard if isinstance(each, Message)]

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        self.note(message)

    def join(self, page: str, channels: tuple[str, ...]) -> None:
        self.note(("join", page, channels))

    def close_streams(self, session: str) -> None:
        self.note(("close", session))

    def converge(self) -> None:
        self.note("converge")

    def wait_for(self, thing: object, *, patience: float = PATIENCE) -> bool:
        """Whether it is heard in time."""
        with self.changed:
            return self.changed.wait_for(lambda: thing in self.noted, patience)

    def wait_until(self, is_so: Callable[[list[object]], bool], *, patience: float = PATIENCE) -> bool:
        """Whether what is heard becomes so in time."""
        with self.changed:
            return self.changed.wait_for(lambda: is_so(self.noted), patience)

    def note(self, thing: object) -> None:
        with self.changed:
            self.noted.append(thing)
            self.changed.notify_all()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


BUSES: dict[str, Callable[[ManualClock, RedisServer], Bus]] = {
    "memory": lambda clock, server: MemoryBus(clock=clock),
    "redis": lambda clock, server: RedisBus(RedisConnection(server.url, prefix=f"{uuid4().hex}:"), clock=clock),
}


@pytest.fixture(params=sorted(BUSES))
def bus(request: pytest.FixtureRequest, clock: ManualClock, redis_server: RedisServer) -> Bus:
    return BUSES[request.param](clock, redis_server)


@pytest.fixture
def receiver(bus: Bus) -> Iterator[Recorder]:
    """A receiver that is subscribed to the bus and hears it."""
    recorder = Recorder()
    bus.subscribe(recorder)
    if isinstance(bus, RedisBus):
        assert recorder.wait_for("converge")
        recorder.noted.clear()
        recorder.settle = lambda: settle(bus)
    yield recorder
    bus.unsubscribe(recorder)


def data_of(noted: list[object]) -> list[str]:
    """The data of the messages among what a recorder has noted."""
    return [each.data for each in noted if isinstance(each, Message)]


def settle(bus: Bus) -> None:
    """Return when all that was published has been handed over: one more message has, to a receiver that came last."""
    last, word = Recorder(), f"{SETTLED}{uuid4().hex}"
    bus.subscribe(last)
    try:
        for _ in range(100):  # said again, because it may have been said before the subscription stood
            bus.close_streams(word)
            if last.wait_for(("close", word), patience=0.2):
                return
        raise AssertionError("Nothing is handed over")
    finally:
        bus.unsubscribe(last)
