"""Interrupting a job that runs on the main thread of its process, or on a loop.

A signal makes the main thread raise, wherever it is; so Celery's prefork and solo pools can end work that never looks
whether it is still wanted.  A signal may come late: it raises only inside of the region of the job that was meant, so
that neither its hand-over nor the next job is hit.

    region opens ──▶ interrupt(ref): reason noted, signal sent ──▶ handler, in the region: raises the reason
                                                              └──▶ handler, after its end: nothing
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from htmx_live.forks import after_fork
from htmx_live.runtime.parts import parts

__all__ = ["acall", "interrupt", "interruptible"]

# Celery's prefork pool has a handler of its own for it, which stays in place for signals that are not ours.
_SIGNAL = getattr(signal, "SIGUSR1", None)  # not on Windows, where prefork is not either


class _Region:
    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.reason: BaseException | None = None


@dataclass(slots=True)
class _Task:
    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any]
    reason: BaseException | None = None


_lock = threading.Lock()
_region: _Region | None = None  # the job on the main thread
_is_sent = False  # a signal of ours is on its way
_before: Any = None  # the handler that was there
_tasks: dict[str, "_Task"] = {}


@contextmanager
def interruptible(ref: str) -> Iterator[None]:
    """While it is open, ``interrupt(ref)`` raises here; only on the main thread, and with a runner that wants it."""
    global _region
    is_main = threading.current_thread() is threading.main_thread()
    if _SIGNAL is None or not is_main or not parts().runner.interrupts:
        yield
        return
    _install()
    region = _Region(ref)
    with _lock:
        _region = region
    try:
        yield
    finally:
        with _lock:
            _region = None


async def acall(ref: str, callback: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    """Await an async callback, which ``interrupt(ref)`` cancels."""
    task = asyncio.current_task()
    assert task is not None
    known = _tasks[ref] = _Task(asyncio.get_running_loop(), task)
    try:
        return await callback(*args, **kwargs)
    except asyncio.CancelledError:
        if known.reason is not None:
            raise known.reason from None
        raise
    finally:
        del _tasks[ref]


def interrupt(ref: str, reason: BaseException) -> bool:
    """Raise ``reason`` in the job, or cancel it if it is async; whether it can be reached.  Harmless after its end."""
    global _is_sent
    if (known := _tasks.get(ref)) is not None:
        known.reason = reason
        known.loop.call_soon_threadsafe(known.task.cancel)
        return True
    with _lock:
        if _region is not None and _region.ref == ref:
            _region.reason, _is_sent = reason, True
            assert _SIGNAL is not None
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            return True
        return False


def _install() -> None:
    global _before
    assert _SIGNAL is not None
    present = signal.getsignal(_SIGNAL)
    if present is not _handle:
        _before = present
        signal.signal(_SIGNAL, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    """On the main thread, between two of its steps: the region cannot end meanwhile."""
    global _is_sent
    if not _is_sent:
        if callable(_before):
            _before(number, frame)
        return
    _is_sent = False
    region = _region
    if region is not None and region.reason is not None:
        reason, region.reason = region.reason, None
        raise reason


@after_fork
def _forget() -> None:
    global _lock, _region
    _lock, _region = threading.Lock(), None
    _tasks.clear()
