"""``TasksRunner``: jobs as tasks of ``django.tasks`` (Django 6), on whatever backend the project has configured.

Of the backends that Django brings, ``ImmediateBackend`` runs a job before its start is answered: a package with a
worker is needed for work that takes long.

Source: Django documentation, "Django's Tasks framework".
"""

import logging

from django.tasks import task
from django.utils.module_loading import import_string

from htmx_live.core.exceptions import RunnerUnavailable
from htmx_live.jobs.runner import Executor, Job, UnreadableJob, deserialize_job, serialize_job
from htmx_live.jobs.runners.celery import CancelledRefs

__all__ = ["TasksRunner", "perform_job"]


logger = logging.getLogger("htmx_live.jobs")


class TasksRunner:
    """See ``htmx_live.jobs.runner.Runner``."""

    def __init__(self, executor: Executor) -> None:
        self._cancelled = CancelledRefs()

    def submit(self, job: Job) -> None:
        try:
            perform_job.enqueue(serialize_job(job))
        except Exception as error:  # a boundary: each backend has errors of its own
            raise RunnerUnavailable(f"The backend of django.tasks did not take a job: {error}.") from error

    def cancel(self, ref: str) -> None:
        """See ``CeleryRunner.cancel``."""
        self._cancelled.add(ref)

    def is_cancelled(self, ref: str) -> bool:
        return ref in self._cancelled

    def shutdown(self) -> dict[str, Job]:
        """Nothing ends with this process."""
        return {}


@task
def perform_job(text: str) -> None:
    """Run the job in this message to its end; a failure of its own is not raised."""
    try:
        job = deserialize_job(text)
    except UnreadableJob:
        logger.exception("A job from a task is dropped")
        return
    executor: Executor = import_string("htmx_live.runtime.job_control.executor")  # which stands above the runners
    executor.run(job)
