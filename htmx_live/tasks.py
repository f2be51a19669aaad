"""The task that Celery's workers run; ``app.autodiscover_tasks()`` finds it here.

Whatever a message says, the worker goes on: one that is not signed by this site is told in the log and dropped.
"""

import logging

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from htmx_live.jobs.runner import JobUnreadable, read_job
from htmx_live.jobs.runners.celery import TASK
from htmx_live.progress.celery import connect
from htmx_live.runtime import job_control as jobs

__all__ = ["perform"]


logger = logging.getLogger("htmx_live.jobs")

connect()
jobs.time_limits.append(SoftTimeLimitExceeded)  # of a project that sets task_soft_time_limit


# The project's own defaults must not make the broker deliver a message twice.
@shared_task(name=TASK, ignore_result=True, acks_late=False, reject_on_worker_lost=False)  # type: ignore[untyped-decorator]
def perform(job: str = "") -> None:
    """Run the job in this message to its end; a failure of its own is not raised."""
    try:
        known = read_job(job)
    except JobUnreadable:
        logger.exception("A job from the broker is dropped")
        return
    jobs.perform.run(known)
