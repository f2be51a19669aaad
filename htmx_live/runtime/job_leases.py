"""Job leases: detect jobs whose worker has died, and stop jobs that are cancelled or overdue.

The store keeps one deadline for each job: until a worker begins it, and then until its process renews it, which it
does three times in ``JOB_LEASE``.  The process that finds a deadline overdue handles it (``runtime.losses``).  Each
renewal also checks whether the page still wants the job and whether ``JOB_TIME_LIMIT`` is over.

A job is stopped cooperatively: its next call of ``check_cancelled()``, ``flush()`` or ``stream_text()`` raises, and an
async callback is cancelled as any task is.  No signal is sent: it could reach the next job on that thread.

Losses: what becomes of a job or of mail that nobody has seen to in time.

A job that nobody begins may wait for a worker, or its message may have died with one that had fetched it.  Nobody can
tell, so it is submitted again, at intervals that double: whichever copy comes first begins it, the others do nothing.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from htmx_live.core.concurrency import warn_if_blocking
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Cancelled, JobTimeout, RunnerUnavailable, StoreUnavailable
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job
from htmx_live.runtime.inbox_messages import JobFailure, JobFinished, JobLost, JobStageChanged, StartJob
from htmx_live.runtime.services import retry_blocking, services
from htmx_live.runtime.turn_queue import enqueue_and_schedule, enqueue_message, schedule_turn

__all__ = [
    "JobLease",
    "deadline_payload",
    "handle_overdue_job",
    "handle_overdue_mailbox",
    "job_deadline_name",
    "job_lease",
    "register_start_deadlines",
    "resubmit_job",
]


logger = logging.getLogger("htmx_live.runtime")

_CANCEL_GRACE = 5.0  # seconds that an async job has to end by itself when it is cancelled at its time limit
_POLL_INTERVAL = (
    1.0  # seconds between two checks whether an async job, which can be cancelled from here, is still wanted
)
_CLAIM_MARGIN = 86_400.0  # seconds beyond JOB_TIME_LIMIT for which a job that has begun cannot be begun again

_Result = TypeVar("_Result")
DeadlineStage = Literal["queued", "waiting", "running"]


def job_deadline_name(ref: str) -> str:
    return f"job:{ref}"


def _claim_name(ref: str) -> str:
    return f"begun:{ref}"


def deadline_payload(ref: str, instance: str, stage: DeadlineStage, **fields: Any) -> str:
    """What is to be read when the deadline is over."""
    return json.dumps({"kind": "job", "ref": ref, "instance": instance, "stage": stage, **fields})


def register_start_deadlines(instance: str, starts: Iterable[StartJob]) -> None:
    """Say that these will be submitted; before the record says that they run, lest one is never missed."""
    for start in starts:
        ref, pause = start.row.ref, settings().WORKER_WAIT
        fields = {"callback": start.callback, "args": start.args, "kwargs": start.kwargs, "is_async": start.is_async}
        text = deadline_payload(ref, instance, "queued", pause=pause, job={**fields, "retries": start.retries})
        services().store.set_deadline(job_deadline_name(ref), text, within=pause)


@contextmanager
def job_lease(job: Job) -> Iterator["JobLease | None"]:
    """Claim ``job`` and hold its lease while it runs; None when another process has claimed it.

    The claim alone does not mean that the job is still wanted: an earlier claim may have been given back with the
    end of the job.  Load the record inside this block, where a new copy of the message can no longer begin it.
    """
    lease = JobLease(job)
    if not retry_blocking(lease.claim):
        yield None
        return
    lease.start_heartbeat()
    try:
        yield lease
    finally:
        lease.release()


@dataclass(frozen=True, slots=True)
class _AsyncioTask:
    """The asyncio task in which an async callback runs."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any]


class JobLease:
    """The lease of one running job: renewed on the timer thread, and asked by the job whether to go on."""

    def __init__(self, job: Job) -> None:
        self._job, self._services = job, services()
        self._payload = deadline_payload(job.ref, job.instance, "running", **_retry_fields(job))
        self._started_at = self._services.timer()
        self._is_late = self._has_timed_out = False
        self._lock = threading.Lock()
        self._asyncio_task: _AsyncioTask | None = None
        self.stop_reason: BaseException | None = None  # why the job should end; the first reason stays
        # Called on the timer thread while the job runs; it may raise ``StoreUnavailable``.
        self.is_wanted: Callable[[], bool] = lambda: True
        self._holder = random_id()
        self._is_released = False

    def claim(self) -> bool:
        """Claim the job, so that no other copy of its message begins it; return whether that succeeded.

        The claim is short until the deadline says that the job runs: when the process dies in between, nothing has
        begun, and the copy that is sent again after ``WORKER_WAIT`` can claim it.  Only a claimed job gets a deadline.
        """
        limits = settings()
        if not self._acquire_claim(limits.JOB_LEASE):
            return False
        self._renew()
        return self._acquire_claim(limits.JOB_TIME_LIMIT + _CLAIM_MARGIN)

    def start_heartbeat(self) -> None:
        """Renew from now on."""
        self._schedule_heartbeat(self._heartbeat_interval())

    def release(self) -> None:
        """Give the claim back, after the end of the job has been posted."""
        self._is_released = True
        with suppress(StoreUnavailable):  # then the deadline comes up, and the job is no longer in the record
            self._services.store.clear_deadline(job_deadline_name(self._job.ref))
            self._services.store.release_lock(_claim_name(self._job.ref), self._holder)

    def _acquire_claim(self, ttl: float) -> bool:
        return self._services.store.acquire_lock(_claim_name(self._job.ref), self._holder, ttl=ttl)

    def _renew(self) -> None:
        name, within = job_deadline_name(self._job.ref), settings().JOB_LEASE
        self._services.store.set_deadline(name, self._payload, within=within)

    def raise_if_stopped(self) -> None:
        """Raise the reason for which the job should end, if there is one."""
        if self.stop_reason is not None:
            raise self.stop_reason

    async def run_async_callback(
        self, callback: Callable[..., Coroutine[Any, Any, _Result]], *args: Any, **kwargs: Any
    ) -> _Result:
        """Await an async callback, which ``_stop()`` cancels."""
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            self._asyncio_task = _AsyncioTask(asyncio.get_running_loop(), task)
        try:
            return await warn_if_blocking(callback)(*args, **kwargs)
        except asyncio.CancelledError:
            self.raise_if_stopped()
            raise
        finally:
            with self._lock:  # from here on the task may end, and its loop be closed
                self._asyncio_task = None

    def _stop(self, reason: BaseException) -> bool:
        """Tell the job to end; return whether a callback was cancelled for that."""
        self.stop_reason = self.stop_reason or reason
        with self._lock:
            if self._asyncio_task is None:
                return False
            self._asyncio_task.loop.call_soon_threadsafe(self._asyncio_task.task.cancel)
            return True

    def _heartbeat_interval(self) -> float:
        third = settings().JOB_LEASE / 3
        return min(third, _POLL_INTERVAL) if self._job.is_async else third

    def _schedule_heartbeat(self, delay: float) -> None:
        self._services.timer.call_at(self._services.timer() + delay, self._heartbeat)

    def _heartbeat(self) -> None:
        if self._is_released:
            return
        delay = self._heartbeat_interval()
        try:
            self._renew()
            self._check_time_limit()
            if not self.is_wanted():
                self._services.runner.cancel(self._job.ref)
                self._stop(Cancelled())
        except StoreUnavailable:
            delay = min(delay, _POLL_INTERVAL)
        except Exception:  # a boundary: the lease is renewed whatever goes wrong beside it
            logger.exception("A beat of job %s failed", self._job.ref)
        if not self._is_released:
            self._schedule_heartbeat(delay)

    def _check_time_limit(self) -> None:
        limit, elapsed = settings().JOB_TIME_LIMIT, self._services.timer() - self._started_at
        if elapsed > limit:
            is_cancelled = self._stop(JobTimeout(self._job.callback, limit))
            if not self._has_timed_out and (elapsed > limit + _CANCEL_GRACE or not is_cancelled):
                self._finish_with_timeout(limit)
        elif elapsed > limit / 2 and not self._is_late:
            enqueue_and_schedule(self._job.instance, JobStageChanged(ref=self._job.ref, stage="late"))
            self._is_late = True

    def _finish_with_timeout(self, limit: float) -> None:
        """End the job for the page: its code may go on here, and everything it hands over from now on is dropped."""
        failure = JobFailure(id=random_id()[:8], kind="timeout")
        logger.error("%s took longer than %s s (error %s)", self._job.callback, limit, failure.id)
        enqueue_and_schedule(self._job.instance, JobFinished(ref=self._job.ref, failure=failure))
        self._has_timed_out = True


def _retry_fields(job: Job) -> dict[str, Any]:
    """What it takes to start ``job`` anew; only for one that wants it, since each beat writes it down."""
    if not job.retries:
        return {}
    fields = {"callback": job.callback, "args": job.args, "kwargs": job.kwargs}
    return {"again": {**fields, "is_async": job.is_async, "retries": job.retries - 1}}


def handle_overdue_job(payload: dict[str, Any]) -> None:
    """A job that nobody has begun waits for a worker, first said and at last given up; one that has begun is lost."""
    store, ref, instance = services().store, payload["ref"], payload["instance"]
    name = job_deadline_name(ref)
    loaded = store.load(instance)
    waited = payload.get("waited", 0.0) + payload.get("pause", 0.0)
    if loaded is None or all(row.ref != ref for row in loaded.record.jobs):
        store.clear_deadline(name)  # ended, cancelled, or lost before
        return
    if payload["stage"] == "running" or waited >= settings().JOB_TIME_LIMIT:
        enqueue_message(instance, JobLost(ref=ref, again=payload.get("again", {})))
        store.clear_deadline(name)
    else:
        pause = min(2 * payload["pause"], settings().JOB_TIME_LIMIT - waited)
        next_payload = deadline_payload(ref, instance, "waiting", pause=pause, waited=waited, job=payload["job"])
        store.set_deadline(name, next_payload, within=pause)
        if payload["stage"] == "queued":
            enqueue_message(instance, JobStageChanged(ref=ref, stage="waiting"))
        resubmit_job(Job(ref=ref, instance=instance, **payload["job"]))
    schedule_turn(instance)


def resubmit_job(job: Job) -> None:
    """Send one more copy of a job's message, on the pool of turns: a broker may keep it waiting."""
    services().turn_pool.submit(partial(_resubmit_job, job))


def _resubmit_job(job: Job) -> None:
    try:
        services().runner.submit(job)
    except RunnerUnavailable as error:
        logger.warning("Job %s waits, and could not be submitted again: %s", job.ref, error)


def handle_overdue_mailbox(payload: dict[str, Any]) -> None:
    """Mail that was left by a turn that died; that of a page which nobody looks at waits for its return."""
    store, instance = services().store, payload["instance"]
    loaded = store.load(instance)
    if loaded is not None and loaded.messages and (store.is_viewed(instance) or loaded.record.jobs):
        schedule_turn(instance)  # emptying the mailbox clears the deadline
    else:
        store.clear_deadline(f"mail:{instance}")
