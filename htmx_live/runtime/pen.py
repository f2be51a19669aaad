"""``Pen``: writes a job's text streams, at most one frame per stream in ``STREAM_INTERVAL``.

The first text goes out at once.  What comes within the interval is put together, and goes out when the interval is
over, written by one clock thread of the process: a job that says nothing more need not come back for it.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count

from htmx_live.conf import settings
from htmx_live.events import WriteText
from htmx_live.fragments import text_target
from htmx_live.transport.bus import Bus

__all__ = ["Pen"]

logger = logging.getLogger("htmx_live.jobs")


class Pen:
    """``channels()`` gives those of the instance, or None when its job is no longer wanted."""

    def __init__(self, instance: str, bus: Callable[[], Bus], channels: Callable[[], Sequence[str] | None]) -> None:
        self._instance, self._bus, self._channels = instance, bus, channels
        self._lock = threading.Lock()
        self._waiting: dict[str, WriteText] = {}
        self._next_at = 0.0  # no frame before then
        self._is_due = False  # the clock will come

    def write(self, piece: WriteText) -> None:
        with self._lock:
            before = self._waiting.get(piece.stream)
            if before is not None and not piece.replace:
                piece = WriteText(stream=piece.stream, text=before.text + piece.text, replace=before.replace)
            self._waiting[piece.stream] = piece
            now = time.monotonic()
            if now >= self._next_at:
                self._send(now)
            elif not self._is_due:
                self._is_due = True
                _clock.at(self._next_at, self.flush)

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._is_due = False
            if self._waiting:
                self._send(time.monotonic())

    close = flush

    def _send(self, now: float) -> None:
        """With the lock held, so that pieces keep their order."""
        waiting, self._waiting = self._waiting, {}
        self._next_at = now + settings().STREAM_INTERVAL
        channels = self._channels()
        if channels is None:
            return  # cancelled: late writes are dropped
        for piece in waiting.values():
            self._bus().append(channels, text_target(self._instance, piece.stream), piece.text, replace=piece.replace)


class _Clock:
    """One daemon thread that makes short calls at given times of ``time.monotonic()``."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._thread: threading.Thread | None = None

    def at(self, when: float, call: Callable[[], None]) -> None:
        with self._wake:
            heapq.heappush(self._calls, (when, next(self._order), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="htmx-live-pen", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            call = self._next()
            try:
                call()
            except Exception:  # a boundary: one stream that cannot be written must not silence the others
                logger.exception("A text stream could not be written")

    def _next(self) -> Callable[[], None]:
        with self._wake:
            while not self._calls or self._calls[0][0] > time.monotonic():
                self._wake.wait(self._calls[0][0] - time.monotonic() if self._calls else None)
            return heapq.heappop(self._calls)[2]


_clock = _Clock()
