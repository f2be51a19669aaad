"""Celery: what a worker makes known of a Celery task is said of the tasks of sessions that it works on.

    retried ──▶ retrying     revoked or expired ──▶ cancelled     failed ──▶ error     its process killed ──▶ lost

A Celery task works on what it has started, updated or entered, and on what ``ProgressSession.queued()`` named it for;
that is kept for all processes, since a worker tells of a dead process in another one.  What has ended already stays.
"""

from typing import Any

from celery import current_task
from celery.exceptions import WorkerLostError
from celery.signals import task_failure, task_retry, task_revoked

from htmx_live.progress import transitions as changes
from htmx_live.progress.publisher import changed
from htmx_live.progress.reporter import beginnings, end, hush, note_cancelled, running
from htmx_live.progress.store import apply, keeping

__all__ = ["connect"]


def connect() -> None:
    """Listen from now on; harmless when it does."""
    if _bind in beginnings:
        return
    beginnings.append(_bind)
    task_failure.connect(_failed, dispatch_uid="htmx_live.progress")
    task_retry.connect(_retried, dispatch_uid="htmx_live.progress")
    task_revoked.connect(_revoked, dispatch_uid="htmx_live.progress")


def _bind(session: str, task: str) -> None:
    """A task begins to run in this process, perhaps inside of a Celery task."""
    if current_task and current_task.request.id:
        keeping().bind(current_task.request.id, session, task)


def _failed(task_id: str, exception: BaseException, **kwargs: Any) -> None:
    change = changes.killed if isinstance(exception, WorkerLostError) else None
    for session, task in keeping().bound(task_id):
        if change is None and (session, task) in running():
            end(session, task, lambda report: changes.failed("", report))  # with what it said last
        else:
            _say(session, task, change or changes.failed("", changes.Report()))


def _retried(request: Any, **kwargs: Any) -> None:
    for session, task in keeping().bound(request.id):
        hush(session, task)
        _say(session, task, changes.retrying)


def _revoked(request: Any, **kwargs: Any) -> None:
    for session, task in keeping().bound(request.id):
        _say(session, task, changes.cancelled)
        note_cancelled(session, [task])


def _say(session: str, task: str, change: changes.Change) -> None:
    apply(session, task, change)
    changed(session, at_once=True)
