"""Sweeping: drop what is kept in memory and has expired, and the kept files that were not discarded.

Memory is swept every few seconds, files at most once an hour in each process that keeps any.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from htmx_live.conf import settings
from htmx_live.kept import sweep, undone_on_failure
from htmx_live.runtime.parts import parts
from htmx_live.runtime.watch import on_sweep

__all__ = ["Hourly", "keeping", "sweep_ended"]


class Hourly:
    """Says yes to one caller per hour; ``now`` is in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = float("-inf")

    def is_due(self, now: float) -> bool:
        with self._lock:
            if now < self._next:
                return False
            self._next = now + 3600
            return True


_hourly = Hourly()


@contextmanager
def keeping() -> Iterator[None]:
    """A turn, its save included: what is kept in it stays only if nothing fails."""
    with undone_on_failure() as names:
        yield
    if names and _hourly.is_due(time.monotonic()):
        parts().turns.submit(lambda: sweep_ended(time.time()))  # beside the turns, for a storage may be slow


def sweep_ended(now: float) -> None:
    """Delete kept files that are older than ``UPLOAD_TTL`` and whose instance has no record any more."""
    store = parts().store
    sweep(before=now - settings().UPLOAD_TTL, is_alive=lambda instance: store.load(instance) is not None)


on_sweep(lambda: parts().store)
on_sweep(lambda: parts().bus)
