"""A bounded pool of daemon threads for sync panels.

A call that hangs can be left, not stopped.  ``cancel()`` of a running call says that nobody waits for it any more; its
thread then no longer counts against the bound, so that a few hanging panels do not starve the others.  At most as
many threads may be left as the bound allows.  Threads are daemons: a hanging one does not keep the process alive.

A thread's states: idle (waits for a call, ends after ``IDLE_SECONDS``) → running → idle, or running → left → ends.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from django.db import close_old_connections, connections

from htmx_live.layouts.conf import layout_settings

__all__ = ["PanelThreads", "panel_threads"]


IDLE_SECONDS = 60.0

logger = logging.getLogger("htmx_live.layouts")


class _Call(Future[Any]):
    """One submitted call."""

    def __init__(self, threads: "PanelThreads", body: Callable[[], Any]) -> None:
        super().__init__()
        self.threads, self.body = threads, body
        self.is_left = False

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self.threads.leave(self)
        return False


class PanelThreads(Executor):
    """``size()`` is the bound; it is read with every call."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._wake = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._idle = self._busy = self._left = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = _Call(self, lambda: fn(*args, **kwargs))
        with self._wake:
            self._waiting.append(call)
            self._staff()
        return call

    def leave(self, call: _Call) -> None:
        """Nobody waits for ``call`` any more."""
        with self._wake:
            if call.running() and not call.is_left and self._left < self._size():
                call.is_left = True
                self._busy -= 1
                self._left += 1
                self._staff()

    def _staff(self) -> None:
        """See that somebody takes the next call; the lock is held."""
        if self._idle >= len(self._waiting):
            self._wake.notify()
        elif self._idle + self._busy < max(1, self._size()):
            self._busy += 1
            threading.Thread(target=self._work, name="htmx-live-panel", daemon=True).start()

    def _work(self) -> None:
        while self._work_once():
            pass
        connections.close_all()

    def _work_once(self) -> bool:
        """Take one call and run it; whether this thread goes on.  (A call is not held while its thread is idle.)"""
        call = self._next()
        if call is None:
            return False
        if call.set_running_or_notify_cancel():
            _perform(call)
        with self._wake:
            self._left -= call.is_left
            return not call.is_left

    def _next(self) -> _Call | None:
        """The next call; ``None`` after ``IDLE_SECONDS`` without one.  The thread counts as busy before and after."""
        with self._wake:
            self._busy -= 1
            self._idle += 1
            has_call = self._wake.wait_for(lambda: self._waiting, IDLE_SECONDS)
            self._idle -= 1
            if not has_call:
                return None
            self._busy += 1
            return self._waiting.popleft()


def _perform(call: _Call) -> None:
    """Run it between the two looks at the thread's connections that Django takes around a request."""
    _look_at_connections()
    try:
        result = call.body()
    except BaseException as error:  # handed to whoever waits
        _look_at_connections()
        call.set_exception(error)
    else:
        _look_at_connections()
        call.set_result(result)


def _look_at_connections() -> None:
    """Close this thread's connections that are broken or too old."""
    try:
        close_old_connections()
    except Exception:  # a panel that needs the database will say so itself, one that does not goes on
        logger.debug("A panel thread's connections could not be looked at", exc_info=True)


def _new_threads() -> PanelThreads:
    return PanelThreads(lambda: layout_settings().PANEL_THREADS)


_threads = _new_threads()


def panel_threads() -> PanelThreads:
    """This process's pool."""
    return _threads


def _after_fork() -> None:
    global _threads
    _threads = _new_threads()  # a fork copies the counts, not the threads


os.register_at_fork(after_in_child=_after_fork)
