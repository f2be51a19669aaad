"""``ManualClock``: time that passes when a test says so."""

import heapq
from collections.abc import Callable
from itertools import count

__all__ = ["ManualClock"]


class ManualClock:
    """Call it for the time in seconds, which begins at ``now``; it is an ``htmx_live.timer.Timer``."""

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
