"""Coroutines: run a view's async methods on event loops of their own, and name those that block a loop.

A turn runs on a thread.  An async handler that went back to the loop of the server could stop all streams and clicks of
the process with one blocking call.  Here each call gets a new loop on another thread, as under WSGI and in tests.  Sync
code that it awaits, such as the ORM, runs on the thread of the turn and so in its transaction.
"""

import logging
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from asgiref.sync import SyncToAsync, async_to_sync

__all__ = ["run_coroutine", "watched"]

logger = logging.getLogger("htmx_live.runtime")

_LONGEST = 0.2  # seconds that code may hold its loop between two awaits

_reported: set[str] = set()  # methods that have been named in the log of this process

Result = TypeVar("Result")


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
            logger.warning(
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
