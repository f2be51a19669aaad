"""Calls that may block, taken off the event loop: a few threads for all streams of the process.

They call the gate, which may use the database, and read the bus, which may be remote.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from django.db import connections

from htmx_live.pool import DaemonPool

__all__ = ["at_beat", "at_door", "in_background", "run_in"]

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
