"""Losses: what becomes of a job or of mail that nobody has seen to in time.

A job that nobody begins may wait for a worker, or its message may have died with one that had fetched it.  Nobody can
tell, so it is submitted again, at intervals that double: whichever copy comes first begins it, the others do nothing.
"""

import logging
from functools import partial
from typing import Any

from htmx_live.conf import settings
from htmx_live.events import JobLost, JobNews
from htmx_live.exceptions import RunnerUnavailable
from htmx_live.runners.base import Job
from htmx_live.runtime.leases import deadline_name, note
from htmx_live.runtime.mailbox import look_after, post
from htmx_live.runtime.parts import parts

__all__ = ["overdue_job", "overdue_mail", "submit_again"]

logger = logging.getLogger("htmx_live.jobs")


def overdue_job(given: dict[str, Any]) -> None:
    """A job that nobody has begun waits for a worker, first said and at last given up; one that has begun is lost."""
    store, ref, instance = parts().store, given["ref"], given["instance"]
    name = deadline_name(ref)
    loaded = store.load(instance)
    waited = given.get("waited", 0.0) + given.get("pause", 0.0)
    if loaded is None or all(row.ref != ref for row in loaded.record.jobs):
        store.clear_deadline(name)  # ended, cancelled, or lost before
        return
    if given["stage"] == "running" or waited >= settings().JOB_TIME_LIMIT:
        post(instance, JobLost(ref=ref, again=given.get("again", {})))
        store.clear_deadline(name)
    else:
        pause = min(2 * given["pause"], settings().JOB_TIME_LIMIT - waited)
        later = note(ref, instance, "waiting", pause=pause, waited=waited, job=given["job"])
        store.set_deadline(name, later, within=pause)
        if given["stage"] == "queued":
            post(instance, JobNews(ref=ref, stage="waiting"))
        submit_again(Job(ref=ref, instance=instance, **given["job"]))
    look_after(instance)


def submit_again(job: Job) -> None:
    """Send one more copy of a job's message, on the pool of turns: a broker may keep it waiting."""
    parts().turns.submit(partial(_submit_again, job))


def _submit_again(job: Job) -> None:
    try:
        parts().runner.submit(job)
    except RunnerUnavailable as error:
        logger.warning("Job %s waits, and could not be submitted again: %s", job.ref, error)


def overdue_mail(given: dict[str, Any]) -> None:
    """Mail that was left by a turn that died; that of a page which nobody looks at waits for its return."""
    store, instance = parts().store, given["instance"]
    loaded = store.load(instance)
    if loaded is not None and loaded.mail and (store.is_shown(instance) or loaded.record.jobs):
        look_after(instance)  # emptying the mailbox clears the deadline
    else:
        store.clear_deadline(f"mail:{instance}")
