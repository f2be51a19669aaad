"""``DaemonPool``: a bounded number of daemon threads that take calls from one queue.

The standard library's executor joins its threads when the process exits, so that one call that hangs would keep the
process alive; these threads die with it.

Forks: a forked process (Celery's prefork pool) has none of its parent's threads, and its locks as they were held.

Calls that may block, taken off the event loop: a few threads for all streams of the process.

They call the gate, which may use the database, and read the bus, which may be remote.

Courtesy: background turns let users' requests go first.

Python runs one thread at a time, and threads that render take turns by the clock: a request that arrives while several
of them render gets little of it.  So whoever is about to run a background turn waits while a request is being answered,
for a moment only: many requests slow background turns down and never stop them.

Coroutines: run a view's async methods on event loops of their own, and name those that block a loop.

A turn runs on a thread.  An async handler that went back to the loop of the server could stop all streams and clicks of
the process with one blocking call.  Here each call gets a new loop on another thread, as under WSGI and in tests.  Sync
code that it awaits, such as the ORM, runs on the thread of the turn and so in its transaction.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from asgiref.sync import SyncToAsync, async_to_sync
from django.db import close_old_connections, connections

__all__ = [
    "Courtesy",
    "DaemonExecutor",
    "DaemonPool",
    "Pool",
    "after_fork",
    "at_beat",
    "at_door",
    "courtesy",
    "in_background",
    "run_coroutine",
    "run_in",
    "watched",
]


logger = logging.getLogger("htmx_live.core.concurrency")

_POLL = 0.05  # seconds between two looks of who waits for the end

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
            time.sleep(_POLL)  # waiting on the condition would take a notice from a thread
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


def after_fork(call: Callable[[], None]) -> Callable[[], None]:
    """Decorates what puts a module's own state right in a forked process."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
    return call


Result = TypeVar("Result")

_THREADS = 4  # each

# Two pools: a database that hangs stops streams from being opened, but not the beat of those that are open.
_doors = DaemonPool("htmx-live-stream", lambda: _THREADS, after=connections.close_all)
_beats = DaemonPool("htmx-live-beat", lambda: _THREADS, after=connections.close_all)


async def at_door(call: Callable[[], Result]) -> Result:
    """The result of a call that opening a stream takes, or what it raised."""
    return await run_in(_doors, call)


async def at_beat(call: Callable[[], Result]) -> Result:
    """The result of a call that an open stream makes now and then, or what it raised."""
    return await run_in(_beats, call)


def in_background(call: Callable[[], None]) -> None:
    """Run ``call()`` soon; what it raises is logged."""
    _doors.submit(call)


async def run_in(pool: DaemonPool, call: Callable[[], Result]) -> Result:
    """The result of a call on a thread of ``pool``, or what it raised; a cancelled wait does not stop the call."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    def run() -> None:
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # handed to whoever waits
            error = raised
        with suppress(RuntimeError):  # what a closed loop raises: nobody is left to tell
            loop.call_soon_threadsafe(settle, result, error)

    pool.submit(run)
    return await outcome


_YOUNG = 0.25  # seconds; who has been answered for longer waits for something else than this process
_PATIENCE = 0.008  # seconds that one turn waits at most
_GLANCE = 0.0005  # seconds between two looks; also a rest, for threads that wait for their moment
_PACE = 0.002  # seconds of background turns until they rest


class Courtesy:
    """``request()`` is around the answer to a user; ``give_way()`` comes before a background turn."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[object, float] = {}  # when requests began
        self._rested = float("-inf")  # when a background turn rested last; any of them will do

    @contextmanager
    def request(self) -> Iterator[None]:
        mark = object()
        with self._lock:
            self._begun[mark] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._begun[mark]

    def give_way(self, *, patience: float = _PATIENCE) -> None:
        now = self._clock()
        give_up = now + patience
        if now - self._rested > _PACE:
            self._rested = now
            time.sleep(_GLANCE)
        while self._is_needed() and self._clock() < give_up:
            time.sleep(_GLANCE)

    def _is_needed(self) -> bool:
        with self._lock:
            oldest = self._clock() - _YOUNG
            return any(began > oldest for began in self._begun.values())


courtesy = Courtesy()


runtime_logger = logging.getLogger("htmx_live.runtime")

_LONGEST = 0.2  # seconds that code may hold its loop between two awaits

_reported: set[str] = set()  # methods that have been named in the log of this process


def run_coroutine(method: Callable[..., Coroutine[Any, Any, Result]], /, *args: Any, **kwargs: Any) -> Result:
    """Return what an async method returns, once it has ended.  It also ends when the client has left."""
    with _without_servers_loop():
        return async_to_sync(watched(method), force_new_loop=True)(*args, **kwargs)


def watched(function: Callable[..., Coroutine[Any, Any, Result]]) -> Callable[..., Coroutine[Any, Any, Result]]:
    """``function``, named in the log once when it holds its loop for longer than 0.2 s at a stretch."""

    async def watch(*args: Any, **kwargs: Any) -> Result:
        return await _Steps(_name_of(function), function(*args, **kwargs))

    return watch


@contextmanager
def _without_servers_loop() -> Iterator[None]:
    """Hide from asgiref, on this thread, the loop and the task of the request, and bring them back.

    A client that leaves would otherwise cancel, from the server's loop, a task of another loop.
    """
    here = vars(SyncToAsync.threadlocal)
    before = dict(here)
    here.clear()
    try:
        yield
    finally:
        here.clear()
        here.update(before)


class _Steps(Generic[Result]):
    """Awaits a coroutine and measures each step, from one ``await`` to the next."""

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, Result]) -> None:
        self._name, self._coroutine = name, coroutine

    def __await__(self) -> Generator[Any, Any, Result]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            began = time.monotonic()
            try:
                awaited = step()
            except StopIteration as end:
                result: Result = end.value
                return result
            finally:
                self._check(time.monotonic() - began)
            try:
                step = partial(self._coroutine.send, (yield awaited))
            except BaseException as error:  # a cancel, above all: it is the coroutine's
                step = partial(self._coroutine.throw, error)

    def _check(self, seconds: float) -> None:
        if seconds > _LONGEST and self._name not in _reported:
            _reported.add(self._name)
            runtime_logger.warning(
                "%s() blocked its event loop for %.1f s. Use an async library there, move the blocking call to "
                "asyncio.to_thread(), or write the method with a plain def.",
                self._name,
                seconds,
            )


def _name_of(function: Callable[..., Any]) -> str:
    """The dotted path; of a method under the class of its view."""
    view = getattr(function, "__self__", None)
    if view is None:
        return f"{function.__module__}.{function.__qualname__}"
    return f"{type(view).__module__}.{type(view).__qualname__}.{function.__name__}"
