"""Losses: what becomes of a job or of mail that nobody has seen to in time."""

from typing import Any

from htmx_live.conf import settings
from htmx_live.events import JobLost, JobNews
from htmx_live.runtime.leases import deadline_name, note
from htmx_live.runtime.mailbox import look_after, post
from htmx_live.runtime.parts import parts

__all__ = ["overdue_job", "overdue_mail"]


def overdue_job(given: dict[str, Any]) -> None:
    """A job that nobody has begun waits for a worker, first said and then given up; one that has begun is lost."""
    store, ref, instance = parts().store, given["ref"], given["instance"]
    name = deadline_name(ref)
    loaded = store.load(instance)
    if loaded is None or all(row.ref != ref for row in loaded.record.jobs):
        store.clear_deadline(name)  # ended, cancelled, or lost before
        return
    if given["stage"] == "queued":
        store.set_deadline(name, note(ref, instance, "waiting"), within=settings().JOB_TIME_LIMIT)
        post(instance, JobNews(ref=ref, stage="waiting"))
    else:
        post(instance, JobLost(ref=ref, again=given.get("again", {})))
        store.clear_deadline(name)
    look_after(instance)


def overdue_mail(given: dict[str, Any]) -> None:
    """Mail that was left by a turn that died; that of a page which nobody looks at waits for its return."""
    store, instance = parts().store, given["instance"]
    loaded = store.load(instance)
    if loaded is not None and loaded.mail and (store.is_shown(instance) or loaded.record.jobs):
        look_after(instance)  # emptying the mailbox clears the deadline
    else:
        store.clear_deadline(f"mail:{instance}")
