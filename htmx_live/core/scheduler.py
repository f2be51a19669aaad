"""Timers: short calls at given times.

``Ticker``: calls for live views at their interval, for as long as somebody looks at them.

One thread of the process keeps the times.  It makes no turns: ``tick`` posts a letter, or leaves that to another
process, and returns at once.  An instance that nobody looks at is forgotten, and watched again when its page returns.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

__all__ = ["NoTicker", "ThreadTimer", "Ticker", "Timer"]


logger = logging.getLogger("htmx_live.core")


class Timer(Protocol):
    """Call it for the time, in seconds that never run backwards."""

    def __call__(self) -> float: ...

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Make ``call`` at ``when``, or at once if that is over; calls of one time keep their order."""


class ThreadTimer:
    """A timer on ``time.monotonic()``: one daemon thread of this process, started with the first call.

    The thread renews the leases of all jobs.  A call must be short: it posts or submits what may wait or run a turn.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = count()
        self._thread: threading.Thread | None = None

    def __call__(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        with self._condition:
            heapq.heappush(self._calls, (when, next(self._sequence), call))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="htmx-live-timer", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            call = self._next_call()
            try:
                call()
            except BaseException:  # a boundary: Cancelled and JobTimeout must not end the thread of the other calls
                logger.exception("A timed call failed")

    def _next_call(self) -> Callable[[], None]:
        with self._condition:
            while not self._calls or self._calls[0][0] > self():
                self._condition.wait(self._calls[0][0] - self() if self._calls else None)
            return heapq.heappop(self._calls)[2]


ticks_logger = logging.getLogger("htmx_live.core")


@dataclass(frozen=True, slots=True, order=True)
class _Tick:
    due_at: float  # seconds on the clock
    instance: str = field(compare=False)
    interval: float = field(compare=False)  # seconds


class Ticker:
    """``tick(instance, interval)`` says whether the instance is still looked at, ``clock`` the time in seconds."""

    def __init__(self, tick: Callable[[str, float], bool], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tick, self._clock = tick, clock
        self._condition = threading.Condition()
        self._ticks: list[_Tick] = []
        self._scheduled: set[str] = set()
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def schedule(self, instance: str, interval: float) -> None:
        """Tick ``instance`` every ``interval`` seconds, from one interval from now; harmless when it is watched."""
        with self._condition:
            if instance in self._scheduled or self._is_stopped:
                return
            self._add(_Tick(self._clock() + interval, instance, interval))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="htmx-live-ticks", daemon=True)
                self._thread.start()
            self._condition.notify()

    def stop(self) -> list[str]:
        """Tick no more, from now on; what was watched."""
        with self._condition:
            scheduled, self._scheduled, self._ticks, self._is_stopped = list(self._scheduled), set(), [], True
            return scheduled

    def run_due(self) -> float | None:
        """Make the calls that are due; seconds until the next one, None when nothing is watched."""
        while (due := self._next_due()) is not None:
            is_viewed = True
            try:
                is_viewed = self._tick(due.instance, due.interval)
            except Exception:  # a boundary: one instance that cannot be ticked must not stop the others
                ticks_logger.exception("A tick of instance %s could not be posted", due.instance)
            if is_viewed:
                self._reschedule(due)
        with self._condition:
            return max(0.0, self._ticks[0].due_at - self._clock()) if self._ticks else None

    def _next_due(self) -> _Tick | None:
        """Not watched while its call is made: who returns just then, when the call finds nobody, watches it anew."""
        with self._condition:
            if not self._ticks or self._ticks[0].due_at > self._clock():
                return None
            due = heapq.heappop(self._ticks)
            self._scheduled.discard(due.instance)
            return due

    def _reschedule(self, tick: _Tick) -> None:
        """Intervals that have been missed are left out, never made up for."""
        with self._condition:
            if tick.instance not in self._scheduled and not self._is_stopped:
                now, next_at = self._clock(), tick.due_at + tick.interval
                self._add(_Tick(next_at if next_at > now else now + tick.interval, tick.instance, tick.interval))

    def _add(self, tick: _Tick) -> None:
        self._scheduled.add(tick.instance)
        heapq.heappush(self._ticks, tick)

    def _run(self) -> None:
        while True:
            wait = self.run_due()
            with self._condition:
                if wait is None or (self._ticks and self._ticks[0].due_at > self._clock()):
                    self._condition.wait(wait)


class NoTicker:
    """Watches nothing: ticks come when a test asks for them."""

    def schedule(self, instance: str, interval: float) -> None: ...

    def stop(self) -> list[str]:
        return []
