"""Events: a session as server-sent events, for clients of the project's own (``EventSource``).

Each is a whole snapshot, with the session's number as its id: who comes late or comes back needs no more than the next.
After the end the stream is over; an ``EventSource`` that reconnects with the last id is told not to (204).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async

from htmx_live.progress.streaming import read

__all__ = ["aevents", "events"]

INTERVAL = 0.25  # seconds between two looks
_SILENCE = 15.0  # seconds after which a comment says that the stream lives

_Last = tuple[str, float]


def events(session: str) -> Iterator[str]:
    """The stream's text, in pieces."""
    last: _Last = ("", time.monotonic())
    while True:
        piece, last, is_over = _next(session, last, time.monotonic())
        if piece:
            yield piece
        if is_over:
            return
        time.sleep(INTERVAL)


async def aevents(session: str) -> AsyncIterator[str]:
    """See ``events()``."""
    last: _Last = ("", time.monotonic())
    anext_piece = sync_to_async(_next, thread_sensitive=False)
    while True:
        piece, last, is_over = await anext_piece(session, last, time.monotonic())
        if piece:
            yield piece
        if is_over:
            return
        await asyncio.sleep(INTERVAL)


def _next(session: str, last: _Last, now: float) -> tuple[str, _Last, bool]:
    """What is to be sent after ``last``: a snapshot that differs, a comment after long silence, or nothing."""
    found = read(session)
    if found is None:
        return "event: gone\ndata: {}\n\n", last, True
    line, number, is_over = found
    shown = _without_times(line)
    if shown != last[0]:
        return f"id: {number}\ndata: {line}\n", (shown, now), is_over
    if now - last[1] >= _SILENCE:
        return ":\n\n", (shown, now), is_over
    return "", last, is_over


def _without_times(line: str) -> str:
    """What tells two snapshots apart: not that a clock went on."""
    given = json.loads(line)
    for task in given["tasks"].values():
        for name in ("elapsed", "eta", "rate"):
            task.pop(name)
    return json.dumps(given)
