"""``Pen``: writes a job's text streams, at most one frame per stream in ``STREAM_INTERVAL``.

The first text goes out at once.  What comes within the interval is put together, and goes out when the interval is
over, written by the timer: a job that says nothing more need not come back for it.  While the bus is away, what is
written waits for it in the same way.
"""

import threading
from collections.abc import Callable, Sequence

from htmx_live.conf import settings
from htmx_live.events import WriteText
from htmx_live.exceptions import StoreUnavailable
from htmx_live.fragments import text_target
from htmx_live.runtime.later import PATIENCE
from htmx_live.runtime.parts import parts
from htmx_live.timer import Timer

__all__ = ["Pen"]

_PAUSE = 1.0  # seconds until a bus that is away is tried again


class Pen:
    """``channels()`` gives those of the instance, or None when its job is no longer wanted.

    ``is_dropped``: that was so when something was to be sent; nothing is from then on.
    """

    def __init__(self, instance: str, channels: Callable[[], Sequence[str] | None], *, timer: Timer) -> None:
        self._instance, self._channels, self._timer = instance, channels, timer
        self.is_dropped = False
        self._lock = threading.Lock()
        self._waiting: dict[str, WriteText] = {}
        self._next_at = 0.0  # no frame before then
        self._is_due = False  # the timer will come
        self._given_up_at = timer() + settings().JOB_TIME_LIMIT + PATIENCE

    def write(self, piece: WriteText) -> None:
        with self._lock:
            before = self._waiting.get(piece.stream)
            if before is not None and not piece.replace:
                text = (before.text + piece.text)[-settings().MAX_STREAM_TEXT :]
                piece = WriteText(stream=piece.stream, text=text, replace=before.replace)
            self._waiting[piece.stream] = piece
            now = self._timer()
            if now >= self._next_at:
                self._send(now)
            elif not self._is_due:
                self._is_due = True
                self._schedule()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._is_due = False
            if self._waiting:
                self._send(self._timer())

    def empty(self) -> None:
        """Send what waits; ``StoreUnavailable`` when it still does."""
        self.flush()
        if self._waiting:
            raise StoreUnavailable("The bus is away, and a text stream waits for it.")

    def end(self, stream: str) -> None:
        """Forget a text, in order with what is written to it."""
        with self._lock:
            self._waiting.pop(stream, None)
            if self._channels() is not None:
                parts().bus.end_texts([text_target(self._instance, stream)])

    def _schedule(self) -> None:
        """Flush at the next frame, on the pool of turns: the timer thread must not wait for the lock or for the bus."""
        self._timer.at(self._next_at, lambda: parts().turns.submit(self.flush))

    def _send(self, now: float) -> None:
        """With the lock held, so that pieces keep their order."""
        self._next_at = now + settings().STREAM_INTERVAL
        try:
            channels = self._channels()
            if channels is None or self.is_dropped:
                self.is_dropped = True  # cancelled: late writes are dropped
                self._waiting.clear()
                return
            while self._waiting:
                piece = next(iter(self._waiting.values()))
                target = text_target(self._instance, piece.stream)
                parts().bus.append(channels, target, piece.text, replace=piece.replace)
                del self._waiting[piece.stream]
        except StoreUnavailable:
            self._next_at = now + _PAUSE
            if not self._is_due and now < self._given_up_at:
                self._is_due = True
                self._schedule()
