"""Celery: what a worker makes known of a Celery task is said of the tasks of sessions that it works on.

    retried ──▶ retrying     revoked or expired ──▶ cancelled     failed ──▶ error     its process killed ──▶ lost

A Celery task works on what it has started, updated or entered, and on what ``ProgressSession.queued()`` named it for;
that is kept for all processes, since a worker tells of a dead process in another one.  What has ended already stays.
"""

from typing import Any

from celery import current_task
from celery.exceptions import WorkerLostError
from celery.signals import task_failure, task_retry, task_revoked

from htmx_live.progress import transitions
from htmx_live.progress.publisher import schedule_publish
from htmx_live.progress.reporter import (
    cancel_reporters,
    discard_pending,
    finish_task,
    running_tasks,
    task_started_receivers,
)
from htmx_live.progress.store import progress_store, update_task

__all__ = ["connect_celery_signals"]


def connect_celery_signals() -> None:
    """Listen from now on; harmless when it does."""
    if _link_task in task_started_receivers:
        return
    task_started_receivers.append(_link_task)
    task_failure.connect(_on_failure, dispatch_uid="htmx_live.progress")
    task_retry.connect(_on_retry, dispatch_uid="htmx_live.progress")
    task_revoked.connect(_on_revoked, dispatch_uid="htmx_live.progress")


def _link_task(session_id: str, task_id: str) -> None:
    """A task begins to run in this process, perhaps inside of a Celery task."""
    if current_task and current_task.request.id:
        progress_store().link_celery_task(current_task.request.id, session_id, task_id)


def _on_failure(task_id: str, exception: BaseException, **kwargs: Any) -> None:
    transition = transitions.mark_worker_lost if isinstance(exception, WorkerLostError) else None
    for session, task in progress_store().find_by_celery_task(task_id):
        if transition is None and (session, task) in running_tasks():
            finish_task(session, task, lambda report: transitions.mark_failed("", report))  # with what it said last
        else:
            _apply_transition(session, task, transition or transitions.mark_failed("", transitions.Report()))


def _on_retry(request: Any, **kwargs: Any) -> None:
    for session, task in progress_store().find_by_celery_task(request.id):
        discard_pending(session, task)
        _apply_transition(session, task, transitions.mark_retrying)


def _on_revoked(request: Any, **kwargs: Any) -> None:
    for session, task in progress_store().find_by_celery_task(request.id):
        _apply_transition(session, task, transitions.mark_cancelled)
        cancel_reporters(session, [task])


def _apply_transition(session_id: str, task_id: str, transition: transitions.Transition) -> None:
    update_task(session_id, task_id, transition)
    schedule_publish(session_id, at_once=True)
