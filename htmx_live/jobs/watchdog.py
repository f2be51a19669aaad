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

__all__ = ["INTERVAL", "NoWatcher", "Watcher", "on_overdue", "on_sweep"]


logger = logging.getLogger("htmx_live.watch")

INTERVAL = 2.0  # seconds between two questions

Callback = Callable[[dict[str, Any]], None]

_callbacks: dict[str, Callback] = {}
_sweeps: list[Callable[[], object]] = []


def on_overdue(kind: str, callback: Callback) -> None:
    """Have notes of this ``kind`` handed to ``callback``, which clears their deadline or sets it again.

    One that does neither, or raises, is handed the note again after 5 s, in whichever process asks then.
    """
    _callbacks[kind] = callback


def on_sweep(part: Callable[[], object]) -> None:
    """Have ``part().sweep()`` called with every round, where a part keeps things in memory and has such a method."""
    _sweeps.append(part)


class Watcher:
    """Asks ``store()`` on a thread of its own, begun by ``start()``; ``clock`` gives seconds that never run back."""

    def __init__(self, store: Callable[[], Store], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._quiet_until = float("-inf")

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

    def ask(self) -> None:
        """One round; never raises."""
        try:
            if self._clock() < self._quiet_until:
                self._store().is_shown("")  # does it answer again, and still?
                return
            for part in _sweeps:
                if sweep := getattr(part(), "sweep", None):
                    sweep()
            for name, note in self._store().overdue():
                self._hand_over(name, note)
        except StoreUnavailable as error:
            self._quiet_until = self._clock() + settings().JOB_LEASE / 3 + INTERVAL
            log_unavailable(logger, error, "looks for overdue deadlines", "Overdue deadlines could not be read")
        except Exception:  # a boundary: the watch goes on whatever happens in a round
            logger.exception("A round of the watch failed")

    def _hand_over(self, name: str, note: str) -> None:
        try:
            given = json.loads(note)
            callback = _callbacks.get(given["kind"])
            if callback is None:
                logger.debug("Nobody here understands the overdue %s", name)
            else:
                callback(given)
        except StoreUnavailable:
            raise
        except Exception:  # a boundary: one note must not keep the others from being read
            logger.exception("What is overdue could not be seen to: %s", name)

    def _run(self) -> None:
        while not self._is_stopped.wait(INTERVAL):
            self.ask()


class NoWatcher:
    """Asks nothing by itself: for tests."""

    def start(self) -> None: ...
