"""``CeleryRunner``: jobs in the workers of the project's Celery app, sent by the name of a task.

A message is taken off the broker before its job begins (early ack), so that none is ever begun twice by the broker;
a job that dies with its worker is found by its lease, and done again if it may be (``runtime.jobs``).
A broker that does not answer keeps nobody waiting: messages are sent on threads of their own.  One that is sent after
all, when its job has been refused, does nothing, for its ref is in no record any more.

``RecentRefs``: the refs that were cancelled here lately, for runners whose jobs end in other processes.
"""

import threading
from collections import OrderedDict
from functools import partial
from typing import Any

from htmx_live.core.concurrency import DaemonPool
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import RunnerUnavailable
from htmx_live.jobs.runner import Executor, Job, serialize_job

__all__ = ["SEND_TIMEOUT", "TASK_NAME", "CancelledRefs", "CeleryRunner"]


_MAX_REFS = 1000


class CancelledRefs:
    """A set of refs; of very many the oldest go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refs: OrderedDict[str, None] = OrderedDict()

    def add(self, ref: str) -> None:
        with self._lock:
            self._refs[ref] = None
            while len(self._refs) > _MAX_REFS:
                self._refs.popitem(last=False)

    def __contains__(self, ref: str) -> bool:
        return ref in self._refs


TASK_NAME = "htmx_live.perform"
SEND_TIMEOUT = 1.5  # seconds that a broker has to take a message
_IDLE_SENDERS = 4  # threads, beside those that a broker keeps waiting
_MAX_SENDERS = 64
_KILL_MARGIN = 60.0  # seconds beyond JOB_TIME_LIMIT after which Celery's prefork pool kills a job that has not ended


class CeleryRunner:
    """See ``htmx_live.jobs.runner.Runner``."""

    def __init__(self, executor: Executor) -> None:
        self._senders = DaemonPool("htmx-live-send", self._pool_size)
        self._lock = threading.Lock()
        self._stuck_senders = 0  # sendings that nobody waits for any more
        self._cancelled = CancelledRefs()

    def submit(self, job: Job) -> None:
        if self._stuck_senders >= _MAX_SENDERS:
            raise RunnerUnavailable("Celery's broker does not answer, and too many messages wait for it.")
        attempt = _SendAttempt(job)
        try:
            self._senders.submit(partial(self._send, attempt))
        except RuntimeError as error:
            raise RunnerUnavailable(f"No thread to send a job's message: {error}.") from error
        if not attempt.is_done.wait(SEND_TIMEOUT) and self._abandon(attempt):
            raise RunnerUnavailable(f"Celery's broker did not take a message within {SEND_TIMEOUT} s. Is it running?")
        if attempt.error is not None:
            raise RunnerUnavailable(f"Celery's broker did not take a message: {attempt.error}.") from attempt.error

    def cancel(self, ref: str) -> None:
        """The worker learns it from the record; this process remembers it for a while."""
        self._cancelled.add(ref)

    def is_cancelled(self, ref: str) -> bool:
        return ref in self._cancelled

    def shutdown(self) -> dict[str, Job]:
        """Nothing ends with this process."""
        return {}

    def _pool_size(self) -> int:
        return min(_IDLE_SENDERS + self._stuck_senders, _MAX_SENDERS)

    def _send(self, attempt: "_SendAttempt") -> None:
        if not attempt.is_abandoned:  # else it has waited behind others
            attempt.send()
        with self._lock:
            attempt.is_done.set()
            self._stuck_senders -= attempt.is_abandoned

    def _abandon(self, attempt: "_SendAttempt") -> bool:
        with self._lock:
            if attempt.is_done.is_set():
                return False
            attempt.is_abandoned = True
            self._stuck_senders += 1
            return True


class _SendAttempt:
    """One message on its way; ``error`` is what the broker said against it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.is_done = threading.Event()
        self.is_abandoned = False
        self.error: Exception | None = None

    def send(self) -> None:
        from celery import current_app

        limits = settings()
        options: dict[str, Any] = {"queue": limits.CELERY_QUEUE} if limits.CELERY_QUEUE else {}
        try:
            current_app.send_task(
                TASK_NAME,
                kwargs={"job": serialize_job(self._job)},
                task_id=self._job.ref,
                serializer="json",
                ignore_result=True,
                retry=False,
                time_limit=limits.JOB_TIME_LIMIT + _KILL_MARGIN,
                **options,
            )
        except Exception as error:  # a boundary: brokers raise errors of their own libraries
            self.error = error
