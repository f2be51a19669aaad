"""Courtesy: background turns let users' requests go first.

Python runs one thread at a time, and threads that render take turns by the clock: a request that arrives while several
of them render gets little of it.  So whoever is about to run a background turn waits while a request is being answered,
for a moment only: many requests slow background turns down and never stop them.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Courtesy", "courtesy"]

_YOUNG = 0.25  # seconds; who has been answered for longer waits for something else than this process
_PATIENCE = 0.008  # seconds that one turn waits at most
_GLANCE = 0.0005  # seconds between two looks; also a rest, for threads that wait for their moment
_PACE = 0.002  # seconds of background turns until they rest


class Courtesy:
    """``request()`` is around the answer to a user; ``give_way()`` comes before a background turn."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[object, float] = {}  # when requests began
        self._rested = float("-inf")  # when a background turn rested last; any of them will do

    @contextmanager
    def request(self) -> Iterator[None]:
        mark = object()
        with self._lock:
            self._begun[mark] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._begun[mark]

    def give_way(self, *, patience: float = _PATIENCE) -> None:
        now = self._clock()
        give_up = now + patience
        if now - self._rested > _PACE:
            self._rested = now
            time.sleep(_GLANCE)
        while self._is_needed() and self._clock() < give_up:
            time.sleep(_GLANCE)

    def _is_needed(self) -> bool:
        with self._lock:
            oldest = self._clock() - _YOUNG
            return any(began > oldest for began in self._begun.values())


courtesy = Courtesy()
