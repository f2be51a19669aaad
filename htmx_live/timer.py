"""Timers: short calls at given times."""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

__all__ = ["ThreadTimer", "Timer"]

logger = logging.getLogger("htmx_live.timer")


class Timer(Protocol):
    """Call it for the time, in seconds that never run backwards."""

    def __call__(self) -> float: ...

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Make ``call`` at ``when``, or at once if that is over; calls of one time keep their order."""


class ThreadTimer:
    """A timer on ``time.monotonic()``: one daemon thread of this process, started with the first call.

    The thread renews the leases of all jobs.  A call must be short: it posts or submits what may wait or run a turn.
    """

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._thread: threading.Thread | None = None

    def __call__(self) -> float:
        return time.monotonic()

    def at(self, when: float, call: Callable[[], None]) -> None:
        with self._wake:
            heapq.heappush(self._calls, (when, next(self._order), call))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="htmx-live-timer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            call = self._next()
            try:
                call()
            except BaseException:  # a boundary: Cancelled and JobTimeout must not end the thread of the other calls
                logger.exception("A timed call failed")

    def _next(self) -> Callable[[], None]:
        with self._wake:
            while not self._calls or self._calls[0][0] > self():
                self._wake.wait(self._calls[0][0] - self() if self._calls else None)
            return heapq.heappop(self._calls)[2]
