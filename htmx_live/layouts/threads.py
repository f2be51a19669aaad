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

__all__ = ["PanelThreads", "get_panel_threads"]


IDLE_SECONDS = 60.0

logger = logging.getLogger("htmx_live.layouts")


class _PanelCall(Future[Any]):
    """One submitted call."""

    def __init__(self, threads: "PanelThreads", function: Callable[[], Any]) -> None:
        super().__init__()
        self.threads, self.function = threads, function
        self.is_abandoned = False

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self.threads.abandon(self)
        return False


class PanelThreads(Executor):
    """``size()`` is the bound; it is read with every call."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._condition = threading.Condition()
        self._waiting: deque[_PanelCall] = deque()
        self._idle = self._busy = self._abandoned = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = _PanelCall(self, lambda: fn(*args, **kwargs))
        with self._condition:
            self._waiting.append(call)
            self._ensure_thread()
        return call

    def abandon(self, call: _PanelCall) -> None:
        """Nobody waits for ``call`` any more."""
        with self._condition:
            if call.running() and not call.is_abandoned and self._abandoned < self._size():
                call.is_abandoned = True
                self._busy -= 1
                self._abandoned += 1
                self._ensure_thread()

    def _ensure_thread(self) -> None:
        """See that somebody takes the next call; the lock is held."""
        if self._idle >= len(self._waiting):
            self._condition.notify()
        elif self._idle + self._busy < max(1, self._size()):
            self._busy += 1
            threading.Thread(target=self._run, name="htmx-live-panel", daemon=True).start()

    def _run(self) -> None:
        while self._run_next():
            pass
        connections.close_all()

    def _run_next(self) -> bool:
        """Take one call and run it; whether this thread goes on.  (A call is not held while its thread is idle.)"""
        call = self._next_call()
        if call is None:
            return False
        if call.set_running_or_notify_cancel():
            _run_call(call)
        with self._condition:
            self._abandoned -= call.is_abandoned
            return not call.is_abandoned

    def _next_call(self) -> _PanelCall | None:
        """The next call; ``None`` after ``IDLE_SECONDS`` without one.  The thread counts as busy before and after."""
        with self._condition:
            self._busy -= 1
            self._idle += 1
            has_call = self._condition.wait_for(lambda: self._waiting, IDLE_SECONDS)
            self._idle -= 1
            if not has_call:
                return None
            self._busy += 1
            return self._waiting.popleft()


def _run_call(call: _PanelCall) -> None:
    """Run it between the two looks at the thread's connections that Django takes around a request."""
    _close_unusable_connections()
    try:
        result = call.function()
    except BaseException as error:  # handed to whoever waits
        _close_unusable_connections()
        call.set_exception(error)
    else:
        _close_unusable_connections()
        call.set_result(result)


def _close_unusable_connections() -> None:
    """Close this thread's connections that are broken or too old."""
    try:
        close_old_connections()
    except Exception:  # a panel that needs the database will say so itself, one that does not goes on
        logger.debug("A panel thread's connections could not be looked at", exc_info=True)


def _create_pool() -> PanelThreads:
    return PanelThreads(lambda: layout_settings().PANEL_THREADS)


_pool = _create_pool()


def get_panel_threads() -> PanelThreads:
    """This process's pool."""
    return _pool


def _after_fork() -> None:
    global _pool
    _pool = _create_pool()  # a fork copies the counts, not the threads


os.register_at_fork(after_in_child=_after_fork)
