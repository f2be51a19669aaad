"""Leases: how everybody knows that a job lives.

The store keeps one deadline for each job: first for somebody to begin it, then for its process to say that it lives,
which that does three times in ``JOB_LEASE``.  Whoever finds one overdue sees to it (``runtime.losses``).  Each beat
also tells a job that is not wanted any more, and ends for the page what takes longer than ``JOB_TIME_LIMIT``.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from htmx_live.conf import settings
from htmx_live.events import JobEnd, JobFailure, JobNews, StartJob
from htmx_live.exceptions import Cancelled, JobTimeout, StoreUnavailable
from htmx_live.grants import random_id
from htmx_live.runners.base import Job
from htmx_live.runtime.interrupt import interrupt
from htmx_live.runtime.later import insist
from htmx_live.runtime.mailbox import post_and_schedule
from htmx_live.runtime.parts import parts

__all__ = ["announce", "deadline_name", "leased", "note"]

logger = logging.getLogger("htmx_live.jobs")

_GRACE = 5.0  # seconds that an interrupted job has to end by itself
_ASKS = 1.0  # seconds between two looks whether a job that can be interrupted is still wanted
_CLAIMED = 86_400.0  # seconds that a job that has begun cannot be begun again

Stage = Literal["queued", "waiting", "running"]


def deadline_name(ref: str) -> str:
    return f"job:{ref}"


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
def leased(job: Job, is_wanted: Callable[[], bool]) -> Iterator[bool]:
    """Hold the lease of ``job`` while it runs; False when another process has begun it already.

    ``is_wanted()`` is asked now and then, on the timer's thread; it may raise ``StoreUnavailable``.
    """
    store, beat = parts().store, _Beat(job, is_wanted)
    with suppress(StoreUnavailable):  # then the first beat says it
        beat.renew()
    if not insist(lambda: store.hold(f"begun:{job.ref}", beat.holder, ttl=_CLAIMED)):
        yield False
        return
    beat.begin()
    try:
        yield True
    finally:
        beat.is_over = True
        with suppress(StoreUnavailable):  # then it comes up, and nobody misses the job
            store.clear_deadline(deadline_name(job.ref))
            store.let_go(f"begun:{job.ref}", beat.holder)


class _Beat:
    """What is done for one running job, on the timer's thread."""

    def __init__(self, job: Job, is_wanted: Callable[[], bool]) -> None:
        self._job, self._is_wanted, self._here = job, is_wanted, parts()
        self._note = note(job.ref, job.instance, "running", **_again(job))
        self._began = self._here.timer()
        self._is_late = self._is_ended = False
        self.holder = random_id()
        self.is_over = False

    def begin(self) -> None:
        self._at(self._pause())

    def renew(self) -> None:
        name, within = deadline_name(self._job.ref), settings().JOB_LEASE
        self._here.store.set_deadline(name, self._note, within=within)

    def _pause(self) -> float:
        third = settings().JOB_LEASE / 3
        return min(third, _ASKS) if self._here.runner.interrupts else third

    def _at(self, pause: float) -> None:
        self._here.timer.at(self._here.timer() + pause, self._beat)

    def _beat(self) -> None:
        if self.is_over:
            return
        pause = self._pause()
        try:
            self.renew()
            self._mind_time()
            if not self._is_wanted():
                self._here.runner.cancel(self._job.ref)
                interrupt(self._job.ref, Cancelled())
        except StoreUnavailable:
            pause = min(pause, _ASKS)
        except Exception:  # a boundary: the lease is renewed whatever goes wrong beside it
            logger.exception("A beat of job %s failed", self._job.ref)
        if not self.is_over:
            self._at(pause)

    def _mind_time(self) -> None:
        limit, taken = settings().JOB_TIME_LIMIT, self._here.timer() - self._began
        if taken > limit:
            is_reached = interrupt(self._job.ref, JobTimeout(self._job.callback, limit))
            if not self._is_ended and (taken > limit + _GRACE or not is_reached):
                self._end(limit)
        elif taken > limit / 2 and not self._is_late:
            post_and_schedule(self._job.instance, JobNews(ref=self._job.ref, stage="late"))
            self._is_late = True

    def _end(self, limit: float) -> None:
        """For the page: the work may go on here, and whatever it hands over is dropped."""
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
