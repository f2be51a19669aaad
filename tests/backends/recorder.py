"""A receiver for tests: it writes down what a bus hands over, and is waited for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from htmx_live.backends import Bus
from htmx_live.backends.wire import BusMessage

__all__ = ["Recorder", "data_of", "settle"]

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
    def messages(self) -> list[BusMessage]:
        return [each for each in self.heard if isinstance(each, BusMessage)]

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        self.note(message)

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None:
        self.note(("join", page, channels))

    def close_streams(self, key: str) -> None:
        self.note(("close", key))

    def resync(self) -> None:
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


def data_of(noted: list[object]) -> list[str]:
    """The data of the messages among what a recorder has noted."""
    return [each.data for each in noted if isinstance(each, BusMessage)]


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
