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

from htmx_live.core.concurrency import watched
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Cancelled, JobTimeout, RunnerUnavailable, StoreUnavailable
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job
from htmx_live.runtime.inbox_messages import JobEnd, JobFailure, JobLost, JobNews, StartJob
from htmx_live.runtime.mailbox import look_after, post, post_and_schedule
from htmx_live.runtime.services import insist, parts

__all__ = ["JobLease", "announce", "deadline_name", "leased", "note", "overdue_job", "overdue_mail", "submit_again"]


logger = logging.getLogger("htmx_live.jobs")

_GRACE = 5.0  # seconds that an async job has to end by itself when it is cancelled at its time limit
_ASKS = 1.0  # seconds between two checks whether an async job, which can be cancelled from here, is still wanted
_CLAIMED = 86_400.0  # seconds beyond JOB_TIME_LIMIT for which a job that has begun cannot be begun again

Result = TypeVar("Result")
Stage = Literal["queued", "waiting", "running"]


def deadline_name(ref: str) -> str:
    return f"job:{ref}"


def _claim_name(ref: str) -> str:
    return f"begun:{ref}"


def note(ref: str, instance: str, stage: Stage, **facts: Any) -> str:
    """What is to be read when the deadline is over."""
    return json.dumps({"kind": "job", "ref": ref, "instance": instance, "stage": stage, **facts})


def announce(instance: str, starts: Iterable[StartJob]) -> None:
    """Say that these will be submitted; before the record says that they run, lest one is never missed."""
    for start in starts:
        ref, pause = start.row.ref, settings().WORKER_WAIT
        fields = {"callback": start.callback, "args": start.args, "kwargs": start.kwargs, "is_async": start.is_async}
        text = note(ref, instance, "queued", pause=pause, job={**fields, "retries": start.retries})
        parts().store.set_deadline(deadline_name(ref), text, within=pause)


@contextmanager
def leased(job: Job) -> Iterator["JobLease | None"]:
    """Claim ``job`` and hold its lease while it runs; None when another process has claimed it.

    The claim alone does not mean that the job is still wanted: an earlier claim may have been given back with the
    end of the job.  Load the record inside this block, where a new copy of the message can no longer begin it.
    """
    lease = JobLease(job)
    if not insist(lease.claim):
        yield None
        return
    lease.begin()
    try:
        yield lease
    finally:
        lease.release()


@dataclass(frozen=True, slots=True)
class _Task:
    """The asyncio task in which an async callback runs."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any]


class JobLease:
    """The lease of one running job: renewed on the timer thread, and asked by the job whether to go on."""

    def __init__(self, job: Job) -> None:
        self._job, self._here = job, parts()
        self._note = note(job.ref, job.instance, "running", **_again(job))
        self._began = self._here.timer()
        self._is_late = self._is_ended = False
        self._lock = threading.Lock()
        self._task: _Task | None = None
        self.stopped: BaseException | None = None  # why the job should end; the first reason stays
        # Called on the timer thread while the job runs; it may raise ``StoreUnavailable``.
        self.is_wanted: Callable[[], bool] = lambda: True
        self._holder = random_id()
        self._is_over = False

    def claim(self) -> bool:
        """Claim the job, so that no other copy of its message begins it; return whether that succeeded.

        The claim is short until the deadline says that the job runs: when the process dies in between, nothing has
        begun, and the copy that is sent again after ``WORKER_WAIT`` can claim it.  Only a claimed job gets a deadline.
        """
        limits = settings()
        if not self._hold(limits.JOB_LEASE):
            return False
        self._renew()
        return self._hold(limits.JOB_TIME_LIMIT + _CLAIMED)

    def begin(self) -> None:
        """Renew from now on."""
        self._at(self._pause())

    def release(self) -> None:
        """Give the claim back, after the end of the job has been posted."""
        self._is_over = True
        with suppress(StoreUnavailable):  # then the deadline comes up, and the job is no longer in the record
            self._here.store.clear_deadline(deadline_name(self._job.ref))
            self._here.store.let_go(_claim_name(self._job.ref), self._holder)

    def _hold(self, ttl: float) -> bool:
        return self._here.store.hold(_claim_name(self._job.ref), self._holder, ttl=ttl)

    def _renew(self) -> None:
        name, within = deadline_name(self._job.ref), settings().JOB_LEASE
        self._here.store.set_deadline(name, self._note, within=within)

    def check(self) -> None:
        """Raise the reason for which the job should end, if there is one."""
        if self.stopped is not None:
            raise self.stopped

    async def call(self, callback: Callable[..., Coroutine[Any, Any, Result]], *args: Any, **kwargs: Any) -> Result:
        """Await an async callback, which ``_stop()`` cancels."""
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            self._task = _Task(asyncio.get_running_loop(), task)
        try:
            return await watched(callback)(*args, **kwargs)
        except asyncio.CancelledError:
            self.check()
            raise
        finally:
            with self._lock:  # from here on the task may end, and its loop be closed
                self._task = None

    def _stop(self, reason: BaseException) -> bool:
        """Tell the job to end; return whether a callback was cancelled for that."""
        self.stopped = self.stopped or reason
        with self._lock:
            if self._task is None:
                return False
            self._task.loop.call_soon_threadsafe(self._task.task.cancel)
            return True

    def _pause(self) -> float:
        third = settings().JOB_LEASE / 3
        return min(third, _ASKS) if self._job.is_async else third

    def _at(self, pause: float) -> None:
        self._here.timer.at(self._here.timer() + pause, self._beat)

    def _beat(self) -> None:
        if self._is_over:
            return
        pause = self._pause()
        try:
            self._renew()
            self._check_time()
            if not self.is_wanted():
                self._here.runner.cancel(self._job.ref)
                self._stop(Cancelled())
        except StoreUnavailable:
            pause = min(pause, _ASKS)
        except Exception:  # a boundary: the lease is renewed whatever goes wrong beside it
            logger.exception("A beat of job %s failed", self._job.ref)
        if not self._is_over:
            self._at(pause)

    def _check_time(self) -> None:
        limit, taken = settings().JOB_TIME_LIMIT, self._here.timer() - self._began
        if taken > limit:
            is_cancelled = self._stop(JobTimeout(self._job.callback, limit))
            if not self._is_ended and (taken > limit + _GRACE or not is_cancelled):
                self._end(limit)
        elif taken > limit / 2 and not self._is_late:
            post_and_schedule(self._job.instance, JobNews(ref=self._job.ref, stage="late"))
            self._is_late = True

    def _end(self, limit: float) -> None:
        """End the job for the page: its code may go on here, and everything it hands over from now on is dropped."""
        failure = JobFailure(id=random_id()[:8], kind="timeout")
        logger.error("%s took longer than %s s (error %s)", self._job.callback, limit, failure.id)
        post_and_schedule(self._job.instance, JobEnd(ref=self._job.ref, failure=failure))
        self._is_ended = True


def _again(job: Job) -> dict[str, Any]:
    """What it takes to start ``job`` anew; only for one that wants it, since each beat writes it down."""
    if not job.retries:
        return {}
    fields = {"callback": job.callback, "args": job.args, "kwargs": job.kwargs}
    return {"again": {**fields, "is_async": job.is_async, "retries": job.retries - 1}}


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
