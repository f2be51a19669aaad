"""The parts of this process: its store, its bus, its runner, its pool of background turns, its timer.

Built once, from settings, when first used; and once more in a forked process, where no thread of them is left.
"""

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from htmx_live.conf import is_debug, settings
from htmx_live.forks import after_fork
from htmx_live.pool import DaemonPool, Pool
from htmx_live.runners.base import Perform, Runner
from htmx_live.runtime.watch import NoWatcher, Watcher
from htmx_live.stores.base import Store
from htmx_live.ticker import NoTicker, Ticker
from htmx_live.timer import ThreadTimer, Timer
from htmx_live.transport.bus import Bus, bus

__all__ = ["Parts", "after_fork", "give_perform", "give_tick", "override", "parts"]

_RUNNERS = {
    "thread": "htmx_live.runners.thread.ThreadRunner",
    "celery": "htmx_live.runners.celery.CeleryRunner",
    "tasks": "htmx_live.runners.tasks.TasksRunner",
    "immediate": "htmx_live.runners.immediate.ImmediateRunner",
}


def _default_store(redis_url: str) -> str:
    return "htmx_live.stores.redis.RedisStore" if redis_url else "htmx_live.stores.memory.MemoryStore"


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
