"""Buses for the contract suite: every implementation runs every test of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from htmx_live.testing import ManualClock
from htmx_live.transport.bus import Bus, MemoryBus
from htmx_live.transport.messages import Message


@dataclass
class Recorder:
    """A receiver that writes down what it gets, in order."""

    heard: list[object] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        return [each for each in self.heard if isinstance(each, Message)]

    def deliver(self, channels: tuple[str, ...], message: Message) -> None:
        self.heard.append(message)

    def join(self, page: str, channels: tuple[str, ...]) -> None:
        self.heard.append(("join", page, channels))

    def close_streams(self, session: str) -> None:
        self.heard.append(("close", session))

    def converge(self) -> None:
        self.heard.append("converge")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


BUSES: dict[str, Callable[[ManualClock], Bus]] = {"memory": lambda clock: MemoryBus(clock=clock)}


@pytest.fixture(params=sorted(BUSES))
def bus(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Bus]:
    yield BUSES[request.param](clock)


@pytest.fixture
def receiver(bus: Bus) -> Recorder:
    """A receiver that is subscribed to the bus."""
    recorder = Recorder()
    bus.subscribe(recorder)
    return recorder
