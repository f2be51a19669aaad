"""The task that Celery's workers run; ``app.autodiscover_tasks()`` finds it here.

Whatever a message says, the worker goes on: one that is not signed by this site is told in the log and dropped.
"""

import logging

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from htmx_live.jobs.runner import UnreadableJob, deserialize_job
from htmx_live.jobs.runners.celery import TASK_NAME
from htmx_live.progress.celery import connect_celery_signals
from htmx_live.runtime import job_control as jobs

__all__ = ["run_queued_job"]


logger = logging.getLogger("htmx_live.jobs")

connect_celery_signals()
jobs.time_limit_errors.append(SoftTimeLimitExceeded)  # of a project that sets task_soft_time_limit


# The project's own defaults must not make the broker deliver a message twice.
@shared_task(name=TASK_NAME, ignore_result=True, acks_late=False, reject_on_worker_lost=False)  # type: ignore[untyped-decorator]
def run_queued_job(job: str = "") -> None:
    """Run the job in this message to its end; a failure of its own is not raised."""
    try:
        parsed_job = deserialize_job(job)
    except UnreadableJob:
        logger.exception("A job from the broker is dropped")
        return
    jobs.executor.run(parsed_job)
