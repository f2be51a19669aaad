"""Wake-ups: tell the turns of this process that wait for a lease in Redis when they were handed it.

All of them share one connection, on which a thread reads wake:<process> while any of them waits.  A wake-up that is
lost costs a second: a waiting turn asks again by itself.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from htmx_live.backends.redis.client import MAX_BLOCKING_WAIT, RETRY_DELAY, RedisConnection
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.signing import random_id

__all__ = ["Wakeups"]


logger = logging.getLogger("htmx_live.backends")


class Wakeups:
    """Used by many threads at once.  ``process`` is the name under which others wake this process."""

    _thread: threading.Thread | None

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._reset()

    @contextmanager
    def expect(self, token: str) -> Iterator[threading.Event]:
        """The event that is set when ``token`` is handed its lease, once ``listen()`` was called."""
        if self._pid != os.getpid():  # forked: the thread and those that wait are the parent's
            self._reset()
        event = self._expected[token] = threading.Event()
        try:
            yield event
        finally:
            del self._expected[token]

    def listen(self) -> None:
        """Read wake-ups for as long as any is expected."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="htmx-live-wakeups", daemon=True)
                self._thread.start()

    def _reset(self) -> None:
        self._pid, self.process = os.getpid(), random_id()[:16]
        self._lock = threading.Lock()
        self._expected: dict[str, threading.Event] = {}  # by token
        self._thread = None

    def _stop_if_unused(self) -> bool:
        with self._lock:
            if not self._expected:
                self._thread = None
            return self._thread is not None

    def _run(self) -> None:
        name = self._connection.key("wake", self.process)
        while self._stop_if_unused():
            try:
                found = self._connection.call("BLPOP", name, MAX_BLOCKING_WAIT, pool="blocking")
            except Exception as error:  # the boundary: without this thread, each turn would wait a second for its lease
                if not isinstance(error, StoreUnavailable):  # of that, the turns learn when they ask again
                    logger.warning("Wake-ups could not be read and will be asked for again", exc_info=True)
                time.sleep(RETRY_DELAY)
                continue
            event = self._expected.get(found[1]) if found else None
            if event is not None:
                event.set()
