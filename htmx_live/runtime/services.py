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
from htmx_live.jobs.runner import Executor, Runner
from htmx_live.jobs.watchdog import DeadlineMonitor, NoDeadlineMonitor

__all__ = [
    "GIVE_UP_AFTER",
    "Services",
    "after_fork",
    "override_services",
    "retry_blocking",
    "retry_in_background",
    "services",
    "set_default_executor",
    "set_tick_callback",
]


_RUNNERS = {
    "thread": "htmx_live.jobs.runners.thread.ThreadRunner",
    "celery": "htmx_live.jobs.runners.celery.CeleryRunner",
    "tasks": "htmx_live.jobs.runners.django_tasks.TasksRunner",
    "immediate": "htmx_live.jobs.runners.immediate.ImmediateRunner",
}


def _default_store(redis_url: str) -> str:
    return "htmx_live.backends.redis.store.RedisStore" if redis_url else "htmx_live.backends.memory.store.MemoryStore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    store: Store
    bus: Bus
    runner: Runner
    turn_pool: Pool
    ticker: Ticker | NoTicker
    is_strict: bool  # looks for mistakes that only rendered HTML shows: in DEBUG and in tests
    timer: Timer
    deadline_monitor: DeadlineMonitor | NoDeadlineMonitor


_EXIT_TIMEOUT = 2.0  # seconds that the exit of a process waits for background turns, those of pushes above all

_lock = threading.Lock()
_services: Services | None = None
_executor: Executor | None = None
_tick: Callable[[str, float], bool] | None = None


def services() -> Services:
    """This process's parts."""
    return _services or _build()


def set_default_executor(executor: Executor) -> None:
    """Say what runners are to run; called once, by the module that performs jobs, which stands above this one."""
    global _executor
    _executor = executor


def set_tick_callback(tick: Callable[[str, float], bool]) -> None:
    """Say how an instance is ticked; called once, by the module of ticks, which stands above this one."""
    global _tick
    _tick = tick


@contextmanager
def override_services(**changes: Any) -> Iterator[Services]:
    """Use other parts for a while; for tests.  ``runner`` may be given as a class, which is built with ``perform``.

    Parts first built here, from settings that may hold for one test only, are built again when they are needed.
    """
    global _services
    before = _services
    if isinstance(changes.get("runner"), type):
        changes["runner"] = changes["runner"](_executor)
    _services = replace(services(), **changes)
    try:
        yield _services
    finally:
        _services = before


def _build() -> Services:
    global _services
    with _lock:
        if _services is None:
            chosen = settings()
            if _executor is None or _tick is None:
                raise ImproperlyConfigured("htmx_live is not ready. Add 'htmx_live' to INSTALLED_APPS.")
            store: Store = import_string(chosen.STORE or _default_store(chosen.REDIS_URL))()
            _services = Services(
                store=store,
                bus=bus(),
                runner=import_string(_RUNNERS.get(chosen.RUNNER, chosen.RUNNER))(_executor),
                turn_pool=DaemonPool("htmx-live-turn", lambda: settings().TURN_THREADS),
                ticker=Ticker(_tick),
                is_strict=is_debug(),
                timer=ThreadTimer(),
                deadline_monitor=DeadlineMonitor(lambda: store),
            )
            atexit.register(_services.turn_pool.join, _EXIT_TIMEOUT)  # a command that pushes ends right after
    return _services


@after_fork
def _reset_after_fork() -> None:
    global _lock, _services
    _lock, _services = threading.Lock(), None


logger = logging.getLogger("htmx_live.runtime")

GIVE_UP_AFTER = 300.0  # seconds after which a store that is away is given up
_FIRST_DELAY, _MAX_DELAY = 0.1, 2.0  # seconds between two attempts
_MAX_WAITING_CALLS = 10_000  # calls that wait; one more is given up at once

_waiting_calls = 0  # counted roughly: two threads may miscount by one

_Result = TypeVar("_Result")


def retry_blocking(call: Callable[[], _Result]) -> _Result:
    """The answer of ``call``, which is made until it has one; ``StoreUnavailable`` after ``PATIENCE`` seconds.

    A call whose answer was lost may have been heard: it must be one that can be made twice.
    """
    give_up_at, delay = time.monotonic() + GIVE_UP_AFTER, _FIRST_DELAY
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(delay)
        delay = min(2 * delay, _MAX_DELAY)


def retry_in_background(call: Callable[[], object], *, delay: float = 0) -> None:
    """Make ``call`` now, and by the pool of turns while it raises ``StoreUnavailable``, for ``PATIENCE`` seconds.

    ``after`` is in seconds, for what has failed just now.
    """
    timer = services().timer
    attempt = partial(_attempt, call, timer() + GIVE_UP_AFTER, _FIRST_DELAY)
    if delay:
        timer.call_at(timer() + delay, lambda: services().turn_pool.submit(attempt))
    else:
        attempt()


def _attempt(call: Callable[[], object], give_up_at: float, delay: float) -> None:
    global _waiting_calls
    try:
        call()
    except StoreUnavailable:
        process_services = services()
        at = process_services.timer() + delay
        if at > give_up_at or _waiting_calls >= _MAX_WAITING_CALLS:
            logger.exception("The store is away for too long: given up")
            return
        _waiting_calls += 1
        process_services.timer.call_at(
            at, partial(_attempt_in_pool, partial(_attempt, call, give_up_at, min(2 * delay, _MAX_DELAY)))
        )


def _attempt_in_pool(attempt: Callable[[], None]) -> None:
    global _waiting_calls
    _waiting_calls -= 1
    services().turn_pool.submit(attempt)
