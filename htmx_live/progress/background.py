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
from htmx_live.progress.model import NO_WORKER_AFTER, ProgressStatus, SessionHeader, TaskState
from htmx_live.progress.notifications import schedule_slow_notice
from htmx_live.progress.publisher import schedule_publish
from htmx_live.progress.reporter import finish_task
from htmx_live.progress.store import progress_store, update_task
from htmx_live.progress.transitions import mark_failed, mark_queued
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.services import services
from htmx_live.runtime.state import encode

__all__ = [
    "KIND",
    "build_task_job",
    "call_function",
    "can_retry",
    "retry_task",
    "set_start_deadline",
    "start_deadline_name",
    "start_task",
]


__all__ += ["cancel_task_job"]

logger = logging.getLogger("htmx_live.progress")

KIND = "progress"


def start_task(
    header: SessionHeader,
    task_id: str,
    func: Callable[..., Any],
    *,
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    notify: str = "",
) -> None:
    """Hand the call to the runner; in a session with a key, unless the task waits already.

    ``TypeError`` for what others could not find, ``StateError`` for arguments.
    """
    path = _import_path(func)
    encoded_args = [encode(value, f"argument {number} of {path}") for number, value in enumerate(args, 1)]
    encoded_kwargs = {name: encode(value, f"argument {name} of {path}") for name, value in kwargs.items()}

    ref = random_id()

    def transition(state: TaskState, now: float) -> TaskState | None:
        after = mark_queued(ref)(state, now)
        if after is None or (header.key and state.status is ProgressStatus.QUEUED):
            return None
        start = replace(
            after, callback=path, args=encoded_args, kwargs=encoded_kwargs, is_async=iscoroutinefunction(func)
        )
        return replace(start, notify=notify, language=get_language() or "")

    _queue_task(header.id, task_id, ref, transition)


def retry_task(session_id: str, task_id: str) -> None:
    """Start it again as it was started, if it has ended and not well; otherwise nothing."""
    ref = random_id()

    def transition(state: TaskState, now: float) -> TaskState | None:
        if not can_retry(state, now):
            return None
        ended = state if state.status.is_ended else replace(state, status=ProgressStatus.LOST)
        return mark_queued(ref)(ended, now)

    _queue_task(session_id, task_id, ref, transition)


def can_retry(state: TaskState, now: float) -> bool:
    """Whether the runner had it, and it has ended, and not well."""
    has_failed = state.status_at(now).is_failed or state.status is ProgressStatus.CANCELLED
    return bool(state.callback) and has_failed


def set_start_deadline(session_id: str, task_id: str, ref: str = "", *, is_submitted: bool = False) -> None:
    """Have a queued task checked after ``NO_WORKER_AFTER``; it is submitted again only once it ``is_submitted``."""
    name = start_deadline_name(session_id, task_id, ref)
    details = {"session": session_id, "task": task_id, "ref": ref, "is_submitted": is_submitted}
    services().store.set_deadline(name, json.dumps({"kind": KIND, "name": name, **details}), within=NO_WORKER_AFTER)


def start_deadline_name(session_id: str, task_id: str, ref: str) -> str:
    return f"{KIND}:{session_id}:{task_id}:{ref}"


def build_task_job(session_id: str, task_id: str, state: TaskState) -> Job:
    return Job(ref=state.ref, instance=session_id, callback=state.callback, args=[task_id], is_async=False, kind=KIND)


def cancel_task_job(state: TaskState) -> None:
    """Tell the runner that a cancelled start is not wanted any more."""
    if state.ref:
        services().runner.cancel(state.ref)


def call_function(state: TaskState, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Make the call that a row names."""
    where, _, name = state.callback.partition(":")
    found: Any = import_module(where)
    for part in name.split("."):
        found = getattr(found, part)
    return async_to_sync(found)(*args, **kwargs) if state.is_async else found(*args, **kwargs)


def _queue_task(
    session_id: str, task_id: str, ref: str, transition: Callable[[TaskState, float], TaskState | None]
) -> None:
    """Make ``transition``, which queues the task under ``ref`` or does nothing, and submit its job."""
    set_start_deadline(session_id, task_id, ref)  # before the row is queued: a process may die in between
    state = update_task(session_id, task_id, transition)
    if state is None or state.ref != ref:  # it runs, or cannot be started
        services().store.clear_deadline(start_deadline_name(session_id, task_id, ref))
        if state is not None and state.callback and state.is_waiting_for_worker(progress_store().now()):
            run_after_commit(lambda: _submit(session_id, task_id, state))  # its message may be lost
        return
    schedule_slow_notice(session_id, task_id, state)
    schedule_publish(session_id, at_once=True)
    run_after_commit(lambda: _submit(session_id, task_id, state))


def _submit(session_id: str, task_id: str, state: TaskState) -> None:
    try:
        set_start_deadline(session_id, task_id, state.ref, is_submitted=True)
    except StoreUnavailable as error:
        logger.warning(
            "The task %s of session %s is not submitted again if its message is lost: %s", task_id, session_id, error
        )
    try:
        services().runner.submit(build_task_job(session_id, task_id, state))
    except RunnerUnavailable:
        logger.exception("The task %s of session %s could not be started", task_id, session_id)
        finish_task(session_id, task_id, lambda report: mark_failed("", report), ref=state.ref)


def _import_path(func: Callable[..., Any]) -> str:
    path = f"{getattr(func, '__module__', '')}:{getattr(func, '__qualname__', '')}"
    if "<" in path or path.endswith(":") or getattr(func, "__self__", None) is not None:
        raise TypeError(
            f"session.run() got {func!r}: expected a function at module level, which another process can find. "
            "Move it there, and pass what it needs as arguments."
        )
    return path
