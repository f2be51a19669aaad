"""``DaemonPool``: a bounded number of daemon threads that take calls from one queue.

The standard library's executor joins its threads when the process exits, so that one call that hangs would keep the
process alive; these threads die with it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from django.db import close_old_connections

__all__ = ["DaemonExecutor", "DaemonPool", "Pool"]

logger = logging.getLogger("htmx_live.pool")

_GLANCE = 0.05  # seconds between two looks of who waits for the end

Call = Callable[[], None]


class Pool(Protocol):
    """Where calls that nobody waits for are made."""

    def submit(self, call: Call) -> None: ...

    def settle(self, patience: float) -> bool:
        """Wait until every call has been made, up to ``patience`` seconds; whether it has."""


class DaemonPool:
    """``size()`` is read when a thread may be added.  ``after`` runs on the thread after each call.

    Calls start in order.  What a call raises is logged; the thread goes on.  ``submit`` raises ``RuntimeError`` when
    there is no thread at all and the system gives none.
    """

    def __init__(self, name: str, size: Callable[[], int], *, after: Call = close_old_connections) -> None:
        self._name, self._size, self._after = name, size, after
        self._wake = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    def submit(self, call: Call) -> None:
        with self._wake:
            self._waiting.append(call)
            if self._idle >= len(self._waiting):
                self._wake.notify()
            elif self._threads < self._size():
                self._add_thread(call)

    def clear(self) -> None:
        """Drop the calls that have not started."""
        with self._wake:
            self._waiting.clear()

    def close(self) -> None:
        """Let each thread end when nothing waits any more."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()

    def settle(self, patience: float) -> bool:
        give_up = time.monotonic() + patience
        while self._is_busy() and time.monotonic() < give_up:
            time.sleep(_GLANCE)  # waiting on the condition would take a notice from a thread
        return not self._is_busy()

    def _is_busy(self) -> bool:
        with self._wake:
            return bool(self._waiting) or self._idle < self._threads

    def _add_thread(self, call: Call) -> None:
        self._threads += 1
        try:
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            self._threads -= 1
            if not self._threads:
                self._waiting.remove(call)
                raise

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                try:
                    call()
                finally:
                    self._after()
            except BaseException:  # a job boundary: the pool outlives whatever it runs
                logger.exception("A call on %s ended with an error that was not handled", self._name)

    def _next(self) -> Call | None:
        with self._wake:
            self._idle += 1
            while not self._waiting and not self._is_closed:
                self._wake.wait()
            self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


class DaemonExecutor(ThreadPoolExecutor):
    """The standard executor's interface, which asyncio and asgiref ask for, on a ``DaemonPool`` of ``size`` threads."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(max_workers=size)  # which begins no thread of its own
        self._pool = DaemonPool(name, lambda: size)

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                answer = call(*args, **kwargs)
            except BaseException as error:  # whoever waits for it gets it
                future.set_exception(error)
            else:
                future.set_result(answer)

        self._pool.submit(run)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for nobody."""
        self._pool.close()
