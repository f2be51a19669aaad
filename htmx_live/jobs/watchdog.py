"""Watching: what the store says is overdue is handed to whoever understands it, and expired memory is dropped.

Every process that serves streams or starts jobs asks about every two seconds.  A store that was away could not be told
that anything lives: after its return nobody is asked to be dead before the living had the time to say so.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from htmx_live.backends.base import Store
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable

__all__ = ["MONITOR_INTERVAL", "DeadlineMonitor", "NoDeadlineMonitor", "register_deadline_handler", "register_sweep"]


logger = logging.getLogger("htmx_live.jobs")

MONITOR_INTERVAL = 2.0  # seconds between two questions

DeadlineHandler = Callable[[dict[str, Any]], None]

_handlers: dict[str, DeadlineHandler] = {}
_sweeps: list[Callable[[], object]] = []


def register_deadline_handler(kind: str, handler: DeadlineHandler) -> None:
    """Have notes of this ``kind`` handed to ``callback``, which clears their deadline or sets it again.

    One that does neither, or raises, is handed the note again after 5 s, in whichever process asks then.
    """
    _handlers[kind] = handler


def register_sweep(get_target: Callable[[], object]) -> None:
    """Have ``part().sweep()`` called with every round, where a part keeps things in memory and has such a method."""
    _sweeps.append(get_target)


class DeadlineMonitor:
    """Asks ``store()`` on a thread of its own, begun by ``start()``; ``clock`` gives seconds that never run back."""

    def __init__(self, store: Callable[[], Store], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._paused_until = float("-inf")

    def start(self) -> None:
        """Watch from now on; harmless when it does."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="htmx-live-watch", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """For good."""
        self._is_stopped.set()

    def poll(self) -> None:
        """One round; never raises."""
        try:
            if self._clock() < self._paused_until:
                self._store().is_viewed("")  # does it answer again, and still?
                return
            for get_target in _sweeps:
                if sweep := getattr(get_target(), "sweep", None):
                    sweep()
            for name, text in self._store().pop_due():
                self._handle(name, text)
        except StoreUnavailable as error:
            self._paused_until = self._clock() + settings().JOB_LEASE / 3 + MONITOR_INTERVAL
            log_unavailable(logger, error, "looks for overdue deadlines", "Overdue deadlines could not be read")
        except Exception:  # a boundary: the watch goes on whatever happens in a round
            logger.exception("A round of the watch failed")

    def _handle(self, name: str, text: str) -> None:
        try:
            payload = json.loads(text)
            handler = _handlers.get(payload["kind"])
            if handler is None:
                logger.debug("Nobody here understands the overdue %s", name)
            else:
                handler(payload)
        except StoreUnavailable:
            raise
        except Exception:  # a boundary: one note must not keep the others from being read
            logger.exception("What is overdue could not be seen to: %s", name)

    def _run(self) -> None:
        while not self._is_stopped.wait(MONITOR_INTERVAL):
            self.poll()


class NoDeadlineMonitor:
    """Asks nothing by itself: for tests."""

    def start(self) -> None: ...
