"""Snapshots: a session as plain values, for JSON.

Streaming: a session's snapshots as lines of JSON, read anew each time, until it has ended.

Nothing is deleted because somebody read it: every viewer sees the end, and who comes after it sees it at once.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.http import StreamingHttpResponse

from htmx_live.progress.cards import task_message
from htmx_live.progress.model import Kept, ProgressStatus, Row, Seen, seen
from htmx_live.progress.store import keeping

__all__ = ["Snapshots", "asnapshots", "read", "snapshot"]


def snapshot(kept: Kept) -> dict[str, Any]:
    """``overall_percent``, ``session_id``, ``status`` and ``tasks``, with further keys beside these."""
    here = seen(kept)
    return {
        "overall_percent": here.percent,
        "session_id": kept.session.id,
        "status": _reported(here.status),
        "tasks": {task: _task(kept, here, task) for task in here.rows},
        "number": here.number,
    }


def _task(kept: Kept, here: Seen, task: str) -> dict[str, Any]:
    row, status, name = here.rows[task], here.statuses[task], kept.session.names[task]
    is_waiting = row.is_waiting_for_worker(kept.now)
    return {
        "message": task_message(row, status, name, is_waiting=is_waiting),
        "name": name,
        "percent": here.percents[task],
        "status": _reported(status),
        "current": row.current,
        "total": row.total,
        "unit": row.unit,
        "rate": row.rate.per_second if status.is_running else None,
        "eta": _left(row, status, kept.now),
        "elapsed": None if row.started is None else (kept.now if row.ended is None else row.ended) - row.started,
        "is_indeterminate": status.is_running and row.current is not None and row.total is None,
        "is_waiting_for_worker": is_waiting,
        "result": row.result,
    }


def _left(row: Row, status: ProgressStatus, now: float) -> float | None:
    """Seconds until the predicted end."""
    if row.rate.ends is None or status is not ProgressStatus.RUNNING:
        return None
    return max(row.rate.ends - now, 0.0)


def _reported(status: ProgressStatus) -> str:
    """``completing`` is an inner matter."""
    return str(ProgressStatus.RUNNING if status is ProgressStatus.COMPLETING else status)


def read(session: str) -> tuple[str, int, bool] | None:
    """A line of JSON, the session's number, and whether it has ended; None when it is gone."""
    kept = keeping().load(session)
    if kept is None:
        return None
    here = seen(kept)
    return json.dumps(snapshot(kept)) + "\n", here.number, here.is_ended


class Snapshots:
    """The lines, to be had with ``for`` and with ``async for``.

    Django asks a response's body for a sync iterator first, and under ASGI would send nothing before that has ended.
    Where a sync view runs under ASGI, it is refused the sync one, and takes the other.
    """

    def __init__(self, session: str, poll_interval: float) -> None:
        self._session, self._interval = session, poll_interval
        self._lines = _snapshots(session, poll_interval)

    def __iter__(self) -> Iterator[str]:
        asking = sys._getframe(1).f_code
        if asking is StreamingHttpResponse._set_streaming_content.__code__ and _is_asgi():  # type: ignore[attr-defined]
            raise TypeError("Under ASGI a response takes the asynchronous iterator.")
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def __aiter__(self) -> AsyncIterator[str]:
        return asnapshots(self._session, self._interval)

    def close(self) -> None:
        self._lines.close()  # type: ignore[attr-defined]


def _snapshots(session: str, poll_interval: float) -> Iterator[str]:
    while (found := read(session)) is not None:
        yield found[0]
        if found[2]:
            return
        time.sleep(poll_interval)


async def asnapshots(session: str, poll_interval: float = 0.1) -> AsyncIterator[str]:
    """See ``Snapshots``: the loop is free in between."""
    # A thread of its own each time: a store that is slow must not hold up what shares the request's thread.
    aread = sync_to_async(read, thread_sensitive=False)
    while (found := await aread(session)) is not None:
        yield found[0]
        if found[2]:
            return
        await asyncio.sleep(poll_interval)


def _is_asgi() -> bool:
    """Whether this thread works for an event loop, or is one's own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
        return loop is not None and loop.is_running()
    return True
