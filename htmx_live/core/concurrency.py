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
    "DaemonExecutor",
    "DaemonPool",
    "Pool",
    "RequestPriority",
    "after_fork",
    "call_soon",
    "request_priority",
    "run_coroutine",
    "run_in_pool",
    "run_on_heartbeat",
    "run_on_open",
    "warn_if_blocking",
]


logger = logging.getLogger("htmx_live.core")

_POLL_INTERVAL = 0.05  # seconds between two looks of who waits for the end

Call = Callable[[], None]


class Pool(Protocol):
    """Where calls that nobody waits for are made."""

    def submit(self, call: Call) -> None: ...

    def join(self, timeout: float) -> bool:
        """Wait until every call has been made, up to ``patience`` seconds; whether it has."""


class DaemonPool:
    """``size()`` is read when a thread may be added.  ``after`` runs on the thread after each call.

    Calls start in order.  What a call raises is logged; the thread goes on.  ``submit`` raises ``RuntimeError`` when
    there is no thread at all and the system gives none.
    """

    def __init__(self, name: str, size: Callable[[], int], *, after_each_call: Call = close_old_connections) -> None:
        self._name, self._size, self._after_each_call = name, size, after_each_call
        self._condition = threading.Condition()
        self._queue: deque[Call] = deque()
        self._thread_count = 0
        self._idle_count = 0
        self._is_closed = False

    def submit(self, call: Call) -> None:
        with self._condition:
            self._queue.append(call)
            if self._idle_count >= len(self._queue):
                self._condition.notify()
            elif self._thread_count < self._size():
                self._add_thread(call)

    def clear(self) -> None:
        """Drop the calls that have not started."""
        with self._condition:
            self._queue.clear()

    def close(self) -> None:
        """Let each thread end when nothing waits any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def join(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self._is_busy() and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)  # waiting on the condition would take a notice from a thread
        return not self._is_busy()

    def _is_busy(self) -> bool:
        with self._condition:
            return bool(self._queue) or self._idle_count < self._thread_count

    def _add_thread(self, call: Call) -> None:
        self._thread_count += 1
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{self._thread_count}", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            self._thread_count -= 1
            if not self._thread_count:
                self._queue.remove(call)
                raise

    def _run(self) -> None:
        while (call := self._next_call()) is not None:
            try:
                try:
                    call()
                finally:
                    self._after_each_call()
            except BaseException:  # a job boundary: the pool outlives whatever it runs
                logger.exception("A call on %s ended with an error that was not handled", self._name)

    def _next_call(self) -> Call | None:
        with self._condition:
            self._idle_count += 1
            while not self._queue and not self._is_closed:
                self._condition.wait()
            self._idle_count -= 1
            if self._queue:
                return self._queue.popleft()
            self._thread_count -= 1
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
                result = call(*args, **kwargs)
            except BaseException as error:  # whoever waits for it gets it
                future.set_exception(error)
            else:
                future.set_result(result)

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


_T = TypeVar("_T")

_THREADS_PER_POOL = 4  # each

# Two pools: a database that hangs stops streams from being opened, but not the beat of those that are open.
_open_pool = DaemonPool("htmx-live-stream", lambda: _THREADS_PER_POOL, after_each_call=connections.close_all)
_heartbeat_pool = DaemonPool("htmx-live-beat", lambda: _THREADS_PER_POOL, after_each_call=connections.close_all)


async def run_on_open(call: Callable[[], _T]) -> _T:
    """The result of a call that opening a stream takes, or what it raised."""
    return await run_in_pool(_open_pool, call)


async def run_on_heartbeat(call: Callable[[], _T]) -> _T:
    """The result of a call that an open stream makes now and then, or what it raised."""
    return await run_in_pool(_heartbeat_pool, call)


def call_soon(call: Callable[[], None]) -> None:
    """Run ``call()`` soon; what it raises is logged."""
    _open_pool.submit(call)


async def run_in_pool(pool: DaemonPool, call: Callable[[], _T]) -> _T:
    """The result of a call on a thread of ``pool``, or what it raised; a cancelled wait does not stop the call."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def set_outcome(result: _T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result: _T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # handed to whoever waits
            error = raised
        with suppress(RuntimeError):  # what a closed loop raises: nobody is left to tell
            loop.call_soon_threadsafe(set_outcome, result, error)

    pool.submit(run)
    return await future


_MAX_REQUEST_AGE = 0.25  # seconds; who has been answered for longer waits for something else than this process
_MAX_DELAY = 0.008  # seconds that one turn waits at most
_SLEEP = 0.0005  # seconds between two looks; also a rest, for threads that wait for their moment
_SLEEP_EVERY = 0.002  # seconds of background turns until they rest


class RequestPriority:
    """``request()`` is around the answer to a user; ``give_way()`` comes before a background turn."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at: dict[object, float] = {}  # when requests began
        self._last_sleep_at = float("-inf")  # when a background turn rested last; any of them will do

    @contextmanager
    def track_request(self) -> Iterator[None]:
        key = object()
        with self._lock:
            self._started_at[key] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._started_at[key]

    def yield_to_requests(self, *, max_delay: float = _MAX_DELAY) -> None:
        now = self._clock()
        deadline = now + max_delay
        if now - self._last_sleep_at > _SLEEP_EVERY:
            self._last_sleep_at = now
            time.sleep(_SLEEP)
        while self._is_request_running() and self._clock() < deadline:
            time.sleep(_SLEEP)

    def _is_request_running(self) -> bool:
        with self._lock:
            started_after = self._clock() - _MAX_REQUEST_AGE
            return any(began > started_after for began in self._started_at.values())


request_priority = RequestPriority()


runtime_logger = logging.getLogger("htmx_live.core")

_MAX_STEP = 0.2  # seconds that code may hold its loop between two awaits

_reported_names: set[str] = set()  # methods that have been named in the log of this process


def run_coroutine(method: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, **kwargs: Any) -> _T:
    """Return what an async method returns, once it has ended.  It also ends when the client has left."""
    with _hide_server_loop():
        return async_to_sync(warn_if_blocking(method), force_new_loop=True)(*args, **kwargs)


def warn_if_blocking(function: Callable[..., Coroutine[Any, Any, _T]]) -> Callable[..., Coroutine[Any, Any, _T]]:
    """``function``, named in the log once when it holds its loop for longer than 0.2 s at a stretch."""

    async def wrapper(*args: Any, **kwargs: Any) -> _T:
        return await _TimedCoroutine(_dotted_path(function), function(*args, **kwargs))

    return wrapper


@contextmanager
def _hide_server_loop() -> Iterator[None]:
    """Hide from asgiref, on this thread, the loop and the task of the request, and bring them back.

    A client that leaves would otherwise cancel, from the server's loop, a task of another loop.
    """
    asgiref_state = vars(SyncToAsync.threadlocal)
    saved_state = dict(asgiref_state)
    asgiref_state.clear()
    try:
        yield
    finally:
        asgiref_state.clear()
        asgiref_state.update(saved_state)


class _TimedCoroutine(Generic[_T]):
    """Awaits a coroutine and measures each step, from one ``await`` to the next."""

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._name, self._coroutine = name, coroutine

    def __await__(self) -> Generator[Any, Any, _T]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            started_at = time.monotonic()
            try:
                awaited = step()
            except StopIteration as end:
                result: _T = end.value
                return result
            finally:
                self._warn_if_slow(time.monotonic() - started_at)
            try:
                step = partial(self._coroutine.send, (yield awaited))
            except BaseException as error:  # a cancel, above all: it is the coroutine's
                step = partial(self._coroutine.throw, error)

    def _warn_if_slow(self, seconds: float) -> None:
        if seconds > _MAX_STEP and self._name not in _reported_names:
            _reported_names.add(self._name)
            runtime_logger.warning(
                "%s() blocked its event loop for %.1f s. Use an async library there, move the blocking call to "
                "asyncio.to_thread(), or write the method with a plain def.",
                self._name,
                seconds,
            )


def _dotted_path(function: Callable[..., Any]) -> str:
    """The dotted path; of a method under the class of its view."""
    view = getattr(function, "__self__", None)
    if view is None:
        return f"{function.__module__}.{function.__qualname__}"
    return f"{type(view).__module__}.{type(view).__qualname__}.{function.__name__}"
