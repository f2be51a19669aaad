"""The parts of this process: its store, its bus, its runner, its pool of background turns, its timer.

Built once, from settings, when first used; and once more in a forked process, where no thread of them is left.

Later: calls that are made again while the store is away.

What has been saved must be told, and a job that has finished must not be lost to an outage.  ``insist`` is for a job's
own thread, which has nothing better to do; ``keep_trying`` makes nobody wait.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from htmx_live.backends import Bus, bus
from htmx_live.backends.base import Store
from htmx_live.core.concurrency import DaemonPool, Pool, after_fork
from htmx_live.core.conf import is_debug, settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.scheduler import NoTicker, ThreadTimer, Ticker, Timer
from htmx_live.jobs.runner import Perform, Runner
from htmx_live.jobs.watchdog import NoWatcher, Watcher

__all__ = ["PATIENCE", "Parts", "after_fork", "give_perform", "give_tick", "insist", "keep_trying", "override", "parts"]


_RUNNERS = {
    "thread": "htmx_live.jobs.runners.thread.ThreadRunner",
    "celery": "htmx_live.jobs.runners.celery.CeleryRunner",
    "tasks": "htmx_live.jobs.runners.django_tasks.TasksRunner",
    "immediate": "htmx_live.jobs.runners.immediate.ImmediateRunner",
}


def _default_store(redis_url: str) -> str:
    return "htmx_live.backends.redis.store.RedisStore" if redis_url else "htmx_live.backends.memory.store.MemoryStore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    store: Store
    bus: Bus
    runner: Runner
    turns: Pool
    ticker: Ticker | NoTicker
    is_strict: bool  # looks for mistakes that only rendered HTML shows: in DEBUG and in tests
    timer: Timer
    watcher: Watcher | NoWatcher


_LAST_TURNS = 2.0  # seconds that the exit of a process waits for background turns, those of pushes above all

_lock = threading.Lock()
_parts: Parts | None = None
_perform: Perform | None = None
_tick: Callable[[str, float], bool] | None = None


def parts() -> Parts:
    """This process's parts."""
    return _parts or _build()


def give_perform(perform: Perform) -> None:
    """Say what runners are to run; called once, by the module that performs jobs, which stands above this one."""
    global _perform
    _perform = perform


def give_tick(tick: Callable[[str, float], bool]) -> None:
    """Say how an instance is ticked; called once, by the module of ticks, which stands above this one."""
    global _tick
    _tick = tick


@contextmanager
def override(**changed: Any) -> Iterator[Parts]:
    """Use other parts for a while; for tests.  ``runner`` may be given as a class, which is built with ``perform``.

    Parts first built here, from settings that may hold for one test only, are built again when they are needed.
    """
    global _parts
    before = _parts
    if isinstance(changed.get("runner"), type):
        changed["runner"] = changed["runner"](_perform)
    _parts = replace(parts(), **changed)
    try:
        yield _parts
    finally:
        _parts = before


def _build() -> Parts:
    global _parts
    with _lock:
        if _parts is None:
            chosen = settings()
            if _perform is None or _tick is None:
                raise ImproperlyConfigured("htmx_live is not ready. Add 'htmx_live' to INSTALLED_APPS.")
            store: Store = import_string(chosen.STORE or _default_store(chosen.REDIS_URL))()
            _parts = Parts(
                store=store,
                bus=bus(),
                runner=import_string(_RUNNERS.get(chosen.RUNNER, chosen.RUNNER))(_perform),
                turns=DaemonPool("htmx-live-turn", lambda: settings().TURN_THREADS),
                ticker=Ticker(_tick),
                is_strict=is_debug(),
                timer=ThreadTimer(),
                watcher=Watcher(lambda: store),
            )
            atexit.register(_parts.turns.settle, _LAST_TURNS)  # a command that pushes ends right after
    return _parts


@after_fork
def _forget() -> None:
    global _lock, _parts
    _lock, _parts = threading.Lock(), None


logger = logging.getLogger("htmx_live.runtime")

PATIENCE = 300.0  # seconds after which a store that is away is given up
_FIRST, _LONGEST = 0.1, 2.0  # seconds between two attempts
_MOST = 10_000  # calls that wait; one more is given up at once

_waiting = 0  # counted roughly: two threads may miscount by one

Answer = TypeVar("Answer")


def insist(call: Callable[[], Answer]) -> Answer:
    """The answer of ``call``, which is made until it has one; ``StoreUnavailable`` after ``PATIENCE`` seconds.

    A call whose answer was lost may have been heard: it must be one that can be made twice.
    """
    until, delay = time.monotonic() + PATIENCE, _FIRST
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST)


def keep_trying(call: Callable[[], object], *, after: float = 0) -> None:
    """Make ``call`` now, and by the pool of turns while it raises ``StoreUnavailable``, for ``PATIENCE`` seconds.

    ``after`` is in seconds, for what has failed just now.
    """
    timer = parts().timer
    attempt = partial(_attempt, call, timer() + PATIENCE, _FIRST)
    if after:
        timer.at(timer() + after, lambda: parts().turns.submit(attempt))
    else:
        attempt()


def _attempt(call: Callable[[], object], until: float, delay: float) -> None:
    global _waiting
    try:
        call()
    except StoreUnavailable:
        here = parts()
        at = here.timer() + delay
        if at > until or _waiting >= _MOST:
            logger.exception("The store is away for too long: given up")
            return
        _waiting += 1
        here.timer.at(at, partial(_attempt_in_pool, partial(_attempt, call, until, min(2 * delay, _LONGEST))))


def _attempt_in_pool(attempt: Callable[[], None]) -> None:
    global _waiting
    _waiting -= 1
    parts().turns.submit(attempt)
