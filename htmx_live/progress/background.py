"""Starting: tasks that the configured runner performs, on threads, Celery or wherever it runs jobs.

The row keeps the callable's name and its encoded arguments, so that the task can be started again.  ``ref`` names one
start: a job whose ref is no longer the row's was cancelled or started again, and does nothing.

    run, retry ──▶ queued ──▶ (commit) ──▶ runner ──▶ perform: still this ref? ──▶ running ──▶ its end
                     │            └─ takes no job ──▶ error
                     └─ a deadline, for as long as it is queued: submitted again, and lost after JOB_TIME_LIMIT

A message may be lost with the worker that had fetched it, so a queued task is submitted again at intervals that double.
Whichever copy comes first begins the task (``performing``).  One whose transaction was not committed is not submitted.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.utils.translation import get_language

from htmx_live.core.exceptions import RunnerUnavailable, StoreUnavailable
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job
from htmx_live.progress.model import WORKER_WAIT, ProgressStatus, Row, Session
from htmx_live.progress.notifications import expect_end
from htmx_live.progress.publisher import changed
from htmx_live.progress.reporter import end
from htmx_live.progress.store import apply, keeping
from htmx_live.progress.transitions import failed, queued
from htmx_live.runtime.request_context import after_commit
from htmx_live.runtime.services import parts
from htmx_live.runtime.state import encode

__all__ = ["KIND", "call", "can_retry", "deadline_name", "job_of", "retry_task", "set_start_deadline", "start_job"]


__all__ += ["stop_job"]

logger = logging.getLogger("htmx_live.progress")

KIND = "progress"


def start_job(
    session: Session,
    task: str,
    func: Callable[..., Any],
    *,
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    notify: str = "",
) -> None:
    """Hand the call to the runner; in a session with a key, unless the task waits already.

    ``TypeError`` for what others could not find, ``StateError`` for arguments.
    """
    path = _path(func)
    encoded = [encode(value, f"argument {number} of {path}") for number, value in enumerate(args, 1)]
    words = {word: encode(value, f"argument {word} of {path}") for word, value in kwargs.items()}

    ref = random_id()

    def change(row: Row, now: float) -> Row | None:
        after = queued(ref)(row, now)
        if after is None or (session.key and row.status is ProgressStatus.QUEUED):
            return None
        start = replace(after, callback=path, args=encoded, kwargs=words, is_async=iscoroutinefunction(func))
        return replace(start, notify=notify, language=get_language() or "")

    _start(session.id, task, ref, change)


def retry_task(session: str, task: str) -> None:
    """Start it again as it was started, if it has ended and not well; otherwise nothing."""
    ref = random_id()

    def change(row: Row, now: float) -> Row | None:
        if not can_retry(row, now):
            return None
        ended = row if row.status.is_ended else replace(row, status=ProgressStatus.LOST)
        return queued(ref)(ended, now)

    _start(session, task, ref, change)


def can_retry(row: Row, now: float) -> bool:
    """Whether the runner had it, and it has ended, and not well."""
    has_failed = row.status_at(now).is_failed or row.status is ProgressStatus.CANCELLED
    return bool(row.callback) and has_failed


def set_start_deadline(session: str, task: str, ref: str = "", *, is_submitted: bool = False) -> None:
    """Have a queued task checked after ``WORKER_WAIT``; it is submitted again only once it ``is_submitted``."""
    name = deadline_name(session, task, ref)
    facts = {"session": session, "task": task, "ref": ref, "is_submitted": is_submitted}
    parts().store.set_deadline(name, json.dumps({"kind": KIND, "name": name, **facts}), within=WORKER_WAIT)


def deadline_name(session: str, task: str, ref: str) -> str:
    return f"{KIND}:{session}:{task}:{ref}"


def job_of(session: str, task: str, row: Row) -> Job:
    return Job(ref=row.ref, instance=session, callback=row.callback, args=[task], is_async=False, kind=KIND)


def stop_job(row: Row) -> None:
    """Tell the runner that a cancelled start is not wanted any more."""
    if row.ref:
        parts().runner.cancel(row.ref)


def call(row: Row, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Make the call that a row names."""
    where, _, name = row.callback.partition(":")
    found: Any = import_module(where)
    for part in name.split("."):
        found = getattr(found, part)
    return async_to_sync(found)(*args, **kwargs) if row.is_async else found(*args, **kwargs)


def _start(session: str, task: str, ref: str, change: Callable[[Row, float], Row | None]) -> None:
    """Make ``change``, which queues the task under ``ref`` or does nothing, and submit its job."""
    set_start_deadline(session, task, ref)  # before the row is queued: a process may die in between
    row = apply(session, task, change)
    if row is None or row.ref != ref:  # it runs, or cannot be started
        parts().store.clear_deadline(deadline_name(session, task, ref))
        if row is not None and row.callback and row.is_waiting_for_worker(keeping().now()):
            after_commit(lambda: _submit(session, task, row))  # its message may be lost
        return
    expect_end(session, task, row)
    changed(session, at_once=True)
    after_commit(lambda: _submit(session, task, row))


def _submit(session: str, task: str, row: Row) -> None:
    try:
        set_start_deadline(session, task, row.ref, is_submitted=True)
    except StoreUnavailable as error:
        logger.warning(
            "The task %s of session %s is not submitted again if its message is lost: %s", task, session, error
        )
    try:
        parts().runner.submit(job_of(session, task, row))
    except RunnerUnavailable:
        logger.exception("The task %s of session %s could not be started", task, session)
        end(session, task, lambda report: failed("", report), ref=row.ref)


def _path(func: Callable[..., Any]) -> str:
    path = f"{getattr(func, '__module__', '')}:{getattr(func, '__qualname__', '')}"
    if "<" in path or path.endswith(":") or getattr(func, "__self__", None) is not None:
        raise TypeError(
            f"session.run() got {func!r}: expected a function at module level, which another process can find. "
            "Move it there, and pass what it needs as arguments."
        )
    return path
