"""Performing: what runs a task that the runner was given, and what looks after tasks whose process has died.

Both are handed to the runtime when the app is ready: every process that performs jobs, or watches, knows them.
"""

import json
import logging
from typing import Any

from htmx_live.exceptions import Cancelled, log_failure
from htmx_live.grants import random_id
from htmx_live.progress.changes import lost
from htmx_live.progress.keeping import apply, keeping
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.showing import changed
from htmx_live.progress.starting import KIND, call
from htmx_live.progress.tasks import RunningTask
from htmx_live.progress.values import LEASE, ProgressStatus
from htmx_live.runners.base import Job
from htmx_live.runtime.jobs import give_performer, observers
from htmx_live.runtime.parts import parts
from htmx_live.runtime.watch import on_overdue
from htmx_live.state import decode

__all__ = ["look_after", "perform"]

logger = logging.getLogger("htmx_live.progress")


def perform(job: Job) -> None:
    """Run the task that a job names, to its end; nothing if that start of it is not wanted any more."""
    session, task = ProgressSession.get(job.instance), str(job.args[0])
    found = keeping().row(job.instance, task)
    if session is None or found is None or found[0].ref != job.ref:
        return
    row = found[0]
    parts().store.clear_deadline(f"progress:{job.instance}:{task}")
    if row.status is not ProgressStatus.QUEUED and row.status is not ProgressStatus.LOST:
        return  # delivered once more, or cancelled
    error_id = random_id()[:8]
    try:
        with RunningTask(session, task, ref=job.ref, error_id=error_id):
            call(row, decode(row.args), decode(row.kwargs))
    except Cancelled:
        pass
    except Exception as error:  # a job boundary: the page is told that it failed, the log why
        for observer in observers:
            observer(error)
        log_failure(logger, error, "The task %s (%s) failed (error %s)", task, row.callback, error_id)


def look_after(note: dict[str, Any]) -> None:
    """A session whose process gave no sign of life for long, or that no worker has begun."""
    store, name, session = parts().store, str(note["name"]), str(note["session"])
    kept = keeping().load(session)
    if kept is None:
        store.clear_deadline(name)
        return
    ages = []
    for task, row in kept.rows.items():
        if row.status is ProgressStatus.RUNNING:
            if row.status_at(kept.now) is ProgressStatus.LOST:
                apply(session, task, lost)
            else:
                ages.append(kept.now - row.beat)
    changed(session, at_once=True)
    if ages:  # stalled, or alive in another process
        store.set_deadline(name, json.dumps(note), within=max(LEASE - max(ages), 0.0) + 0.1)
    else:
        store.clear_deadline(name)


give_performer(KIND, perform)
on_overdue(KIND, look_after)
