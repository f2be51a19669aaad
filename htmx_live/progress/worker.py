"""Performing: what runs a task that the runner was given, and what looks after tasks whose process has died.

Both are handed to the runtime when the app is ready: every process that performs jobs, or watches, knows them.
"""

import json
import logging
from contextlib import suppress
from typing import Any

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Cancelled, StoreUnavailable, log_failure
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job
from htmx_live.jobs.watchdog import register_deadline_handler
from htmx_live.progress.background import KIND, build_task_job, call_function, start_deadline_name
from htmx_live.progress.model import LOST_AFTER, NO_WORKER_AFTER, ProgressStatus, SessionSnapshot, TaskState
from htmx_live.progress.publisher import schedule_publish
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.store import progress_store, update_task
from htmx_live.progress.tasks import RunningTask
from htmx_live.progress.transitions import if_current_start, mark_lost, mark_not_started, mark_started
from htmx_live.runtime.job_control import observers, register_executor
from htmx_live.runtime.job_leases import resubmit_job
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode

__all__ = ["check_session", "run_task"]


logger = logging.getLogger("htmx_live.progress")


def run_task(job: Job) -> None:
    """Run the task that a job names, to its end; nothing if that start of it has begun or is not wanted any more."""
    session, task = ProgressSession.get(job.instance), str(job.args[0])
    state = _start_if_wanted(session, task, job.ref) if session else None
    if session is None or state is None:
        return
    error_id = random_id()[:8]
    try:
        with RunningTask(session, task, ref=job.ref, error_id=error_id):  # which sets the deadline of what runs here
            with suppress(StoreUnavailable):  # then it comes up, and finds the task running
                services().store.clear_deadline(start_deadline_name(job.instance, task, job.ref))
            call_function(state, decode(state.args), decode(state.kwargs))
    except Cancelled:
        pass
    except Exception as error:  # a job boundary: the page is told that it failed, the log why
        for observer in observers:
            observer(error)
        log_failure(logger, error, "The task %s (%s) failed (error %s)", task, state.callback, error_id)


def _start_if_wanted(session: ProgressSession, task_id: str, ref: str) -> TaskState | None:
    """The row of a queued task, which runs from now on; None if it does not wait, or a copy of the job was faster.

    One that was given up may still begin, unless its key was free for other work in the meantime.
    """
    is_begun = False

    def transition(state: TaskState, now: float) -> TaskState | None:
        nonlocal is_begun
        is_late = state.status is ProgressStatus.LOST and state.started is None and not session.header.key
        is_begun = state.ref == ref and (state.status is ProgressStatus.QUEUED or is_late)
        return mark_started(state, now) if is_begun else None

    state = update_task(session.session_id, task_id, transition)
    return state if is_begun else None


def check_session(payload: dict[str, Any]) -> None:
    """Check a session whose process gave no sign of life for long, or one of whose tasks no worker has begun."""
    store, name, session = services().store, str(payload["name"]), str(payload["session"])
    snapshot = progress_store().load(session)
    if snapshot is None:
        store.clear_deadline(name)
        return
    delays = [] if "task" not in payload else _check_start(snapshot, payload)
    for task, state in snapshot.states.items():
        if state.status is ProgressStatus.RUNNING:
            if state.status_at(snapshot.now) is ProgressStatus.LOST:
                update_task(session, task, mark_lost)
            else:  # stalled, or alive in another process
                delays.append(LOST_AFTER - (snapshot.now - state.beat) + 0.1)
    schedule_publish(session, at_once=True)
    if delays:
        store.set_deadline(name, json.dumps(payload), within=min(delays))
    else:
        store.clear_deadline(name)


def _check_start(snapshot: SessionSnapshot, payload: dict[str, Any]) -> list[float]:
    """Submit a task again that is still queued, or give it up; seconds until the next check, if there is one."""
    session, task = snapshot.header.id, str(payload["task"])
    state = snapshot.states.get(task)
    if state is None or state.status is not ProgressStatus.QUEUED or state.ref != payload["ref"]:
        return []
    seconds_waited, limit = snapshot.now - state.since, settings().JOB_TIME_LIMIT
    if seconds_waited >= limit:
        update_task(session, task, if_current_start(state.ref, mark_not_started))
        return []
    if payload["is_submitted"]:
        resubmit_job(build_task_job(session, task, state))
    return [min(max(seconds_waited, NO_WORKER_AFTER), limit - seconds_waited)]


register_executor(KIND, run_task)
register_deadline_handler(KIND, check_session)
