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
from htmx_live.progress.model import ProgressStatus, SessionSnapshot, SessionSummary, TaskState, summarize
from htmx_live.progress.store import progress_store

__all__ = ["SnapshotStream", "astream_snapshots", "read_snapshot_line", "serialize_snapshot"]


def serialize_snapshot(snapshot: SessionSnapshot) -> dict[str, Any]:
    """``overall_percent``, ``session_id``, ``status`` and ``tasks``, with further keys beside these."""
    summary = summarize(snapshot)
    return {
        "overall_percent": summary.percent,
        "session_id": snapshot.header.id,
        "status": _public_status(summary.status),
        "tasks": {task: _serialize_task(snapshot, summary, task) for task in summary.states},
        "number": summary.number,
    }


def _serialize_task(snapshot: SessionSnapshot, summary: SessionSummary, task_id: str) -> dict[str, Any]:
    state, status, name = summary.states[task_id], summary.statuses[task_id], snapshot.header.names[task_id]
    is_waiting = state.is_waiting_for_worker(snapshot.now)
    return {
        "message": task_message(state, status, name, is_waiting=is_waiting),
        "name": name,
        "percent": summary.percents[task_id],
        "status": _public_status(status),
        "current": state.current,
        "total": state.total,
        "unit": state.unit,
        "rate": state.rate.per_second if status.is_running else None,
        "eta": _seconds_left(state, status, snapshot.now),
        "elapsed": None
        if state.started is None
        else (snapshot.now if state.ended is None else state.ended) - state.started,
        "is_indeterminate": status.is_running and state.current is not None and state.total is None,
        "is_waiting_for_worker": is_waiting,
        "result": state.result,
    }


def _seconds_left(state: TaskState, status: ProgressStatus, now: float) -> float | None:
    """Seconds until the predicted end."""
    if state.rate.ends is None or status is not ProgressStatus.RUNNING:
        return None
    return max(state.rate.ends - now, 0.0)


def _public_status(status: ProgressStatus) -> str:
    """``completing`` is an inner matter."""
    return str(ProgressStatus.RUNNING if status is ProgressStatus.COMPLETING else status)


def read_snapshot_line(session_id: str) -> tuple[str, int, bool] | None:
    """A line of JSON, the session's number, and whether it has ended; None when it is gone."""
    snapshot = progress_store().load(session_id)
    if snapshot is None:
        return None
    summary = summarize(snapshot)
    return json.dumps(serialize_snapshot(snapshot)) + "\n", summary.number, summary.is_ended


class SnapshotStream:
    """The lines, to be had with ``for`` and with ``async for``.

    Django asks a response's body for a sync iterator first, and under ASGI would send nothing before that has ended.
    Where a sync view runs under ASGI, it is refused the sync one, and takes the other.
    """

    def __init__(self, session_id: str, poll_interval: float) -> None:
        self._session, self._interval = session_id, poll_interval
        self._lines = _stream_snapshots(session_id, poll_interval)

    def __iter__(self) -> Iterator[str]:
        caller = sys._getframe(1).f_code
        if caller is StreamingHttpResponse._set_streaming_content.__code__ and _is_asgi():  # type: ignore[attr-defined]
            raise TypeError("Under ASGI a response takes the asynchronous iterator.")
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def __aiter__(self) -> AsyncIterator[str]:
        return astream_snapshots(self._session, self._interval)

    def close(self) -> None:
        self._lines.close()  # type: ignore[attr-defined]


def _stream_snapshots(session_id: str, poll_interval: float) -> Iterator[str]:
    while (found := read_snapshot_line(session_id)) is not None:
        yield found[0]
        if found[2]:
            return
        time.sleep(poll_interval)


async def astream_snapshots(session_id: str, poll_interval: float = 0.1) -> AsyncIterator[str]:
    """See ``SnapshotStream``: the loop is free in between."""
    # A thread of its own each time: a store that is slow must not hold up what shares the request's thread.
    aread = sync_to_async(read_snapshot_line, thread_sensitive=False)
    while (found := await aread(session_id)) is not None:
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
