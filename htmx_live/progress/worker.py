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
from htmx_live.jobs.watchdog import on_overdue
from htmx_live.progress.background import KIND, call, deadline_name, job_of
from htmx_live.progress.model import LEASE, WORKER_WAIT, Kept, ProgressStatus, Row
from htmx_live.progress.publisher import changed
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.store import apply, keeping
from htmx_live.progress.tasks import RunningTask
from htmx_live.progress.transitions import given_up, lost, of_start, started
from htmx_live.runtime.job_control import give_performer, observers
from htmx_live.runtime.job_leases import submit_again
from htmx_live.runtime.services import parts
from htmx_live.runtime.state import decode

__all__ = ["look_after", "perform"]


logger = logging.getLogger("htmx_live.progress")


def perform(job: Job) -> None:
    """Run the task that a job names, to its end; nothing if that start of it has begun or is not wanted any more."""
    session, task = ProgressSession.get(job.instance), str(job.args[0])
    row = _begin(session, task, job.ref) if session else None
    if session is None or row is None:
        return
    error_id = random_id()[:8]
    try:
        with RunningTask(session, task, ref=job.ref, error_id=error_id):  # which sets the deadline of what runs here
            with suppress(StoreUnavailable):  # then it comes up, and finds the task running
                parts().store.clear_deadline(deadline_name(job.instance, task, job.ref))
            call(row, decode(row.args), decode(row.kwargs))
    except Cancelled:
        pass
    except Exception as error:  # a job boundary: the page is told that it failed, the log why
        for observer in observers:
            observer(error)
        log_failure(logger, error, "The task %s (%s) failed (error %s)", task, row.callback, error_id)


def _begin(session: ProgressSession, task: str, ref: str) -> Row | None:
    """The row of a queued task, which runs from now on; None if it does not wait, or a copy of the job was faster.

    One that was given up may still begin, unless its key was free for other work in the meantime.
    """
    is_begun = False

    def change(row: Row, now: float) -> Row | None:
        nonlocal is_begun
        is_late = row.status is ProgressStatus.LOST and row.started is None and not session.session.key
        is_begun = row.ref == ref and (row.status is ProgressStatus.QUEUED or is_late)
        return started(row, now) if is_begun else None

    row = apply(session.session_id, task, change)
    return row if is_begun else None


def look_after(note: dict[str, Any]) -> None:
    """Check a session whose process gave no sign of life for long, or one of whose tasks no worker has begun."""
    store, name, session = parts().store, str(note["name"]), str(note["session"])
    kept = keeping().load(session)
    if kept is None:
        store.clear_deadline(name)
        return
    pauses = [] if "task" not in note else _check_start(kept, note)
    for task, row in kept.rows.items():
        if row.status is ProgressStatus.RUNNING:
            if row.status_at(kept.now) is ProgressStatus.LOST:
                apply(session, task, lost)
            else:  # stalled, or alive in another process
                pauses.append(LEASE - (kept.now - row.beat) + 0.1)
    changed(session, at_once=True)
    if pauses:
        store.set_deadline(name, json.dumps(note), within=min(pauses))
    else:
        store.clear_deadline(name)


def _check_start(kept: Kept, note: dict[str, Any]) -> list[float]:
    """Submit a task again that is still queued, or give it up; seconds until the next check, if there is one."""
    session, task = kept.session.id, str(note["task"])
    row = kept.rows.get(task)
    if row is None or row.status is not ProgressStatus.QUEUED or row.ref != note["ref"]:
        return []
    waited, limit = kept.now - row.since, settings().JOB_TIME_LIMIT
    if waited >= limit:
        apply(session, task, of_start(row.ref, given_up))
        return []
    if note["is_submitted"]:
        submit_again(job_of(session, task, row))
    return [min(max(waited, WORKER_WAIT), limit - waited)]


give_performer(KIND, perform)
on_overdue(KIND, look_after)
