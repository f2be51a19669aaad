"""Jobs: the background work of a view, from its start to its one end.

A job works on a copy of the newest state.  What it changes is handed over by ``flush()`` and at its end, as events of
its instance; what it asks for goes the same way at once.  Whether it is still wanted stands in the record: a job whose
ref is gone from there was cancelled or replaced, and whatever it hands over is dropped there.

      StartJob saved, deadline set ─▶ submitted ─▶ refused by the runner: JobEnd(refused)
                                          │
  nobody begins it: waiting, submitted ◀──┤   claimed once per ref; not wanted, or claimed elsewhere: nothing
  again now and then; too long: lost      ▼
                  ┌─────────────────── running ── half of JOB_TIME_LIMIT ─▶ late ── all of it ─▶ JobEnd(timeout)
                  │                     │   │ flush, ask ─▶ Merge
         the lease ends                 │   └─ raises Cancelled ─▶ JobEnd(cancelled)
         │            │                 ├───── raises ─▶ JobEnd(failure)
    retries left     none               └───── returns ─▶ JobEnd(result)
         │            │
    a new job of     lost ── its process lives after all, and nobody has started or cancelled its like:
    this row: retrying          Merge and JobEnd are heard as if it had never been lost

A retry is a job of its own, with its own ref, submitted by whoever finds the lease overdue: no broker is asked to
deliver anything twice, and what the old process still hands over is dropped.
While the store is away, a hand-over waits for its return (``runtime.later``), and the lease is renewed right after.

``Pen``: writes a job's text streams, at most one frame per stream in ``STREAM_INTERVAL``.

The first text goes out at once.  What comes within the interval is put together, and goes out when the interval is
over, written by the timer: a job that says nothing more need not come back for it.  While the bus is away, what is
written waits for it in the same way.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import PermissionDenied
from django.http.response import HttpResponseRedirectBase

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Cancelled, JobTimeout, StateError, StoreUnavailable, UserError, log_failure
from htmx_live.core.fragments import text_target
from htmx_live.core.records import JobRow, Record
from htmx_live.core.scheduler import Timer
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job, Perform
from htmx_live.jobs.watchdog import on_overdue
from htmx_live.runtime.dispatch import check_state, dispatch
from htmx_live.runtime.files import delete_file
from htmx_live.runtime.inbox_messages import (
    DiscardFile,
    Effect,
    EndText,
    JobEnd,
    JobFailure,
    JobMail,
    JobNews,
    Merge,
    WriteText,
)
from htmx_live.runtime.job_leases import JobLease, leased, overdue_job, overdue_mail
from htmx_live.runtime.mailbox import post_and_schedule
from htmx_live.runtime.message_handlers import ended
from htmx_live.runtime.request_context import after_commit, around, stand_in
from htmx_live.runtime.services import PATIENCE, give_perform, insist, parts
from htmx_live.runtime.state import State, decode, encode, encode_state, state_of, take_state
from htmx_live.runtime.variants import channels_of
from htmx_live.runtime.view import Inner, Live, find_callback, import_view

__all__ = ["Pen", "give_performer", "observers", "perform", "time_limits"]


_PAUSE = 1.0  # seconds until a bus that is away is tried again


class Pen:
    """``channels()`` gives those of the instance, or None when its job is no longer wanted.

    ``is_dropped``: that was so when something was to be sent; nothing is from then on.
    """

    def __init__(self, instance: str, channels: Callable[[], Sequence[str] | None], *, timer: Timer) -> None:
        self._instance, self._channels, self._timer = instance, channels, timer
        self.is_dropped = False
        self._lock = threading.Lock()
        self._waiting: dict[str, WriteText] = {}
        self._next_at = 0.0  # no frame before then
        self._is_due = False  # the timer will come
        self._given_up_at = timer() + settings().JOB_TIME_LIMIT + PATIENCE

    def write(self, piece: WriteText) -> None:
        with self._lock:
            before = self._waiting.get(piece.stream)
            if before is not None and not piece.replace:
                text = (before.text + piece.text)[-settings().MAX_STREAM_TEXT :]
                piece = WriteText(stream=piece.stream, text=text, replace=before.replace)
            self._waiting[piece.stream] = piece
            now = self._timer()
            if now >= self._next_at:
                self._send(now)
            elif not self._is_due:
                self._is_due = True
                self._schedule()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._is_due = False
            if self._waiting:
                self._send(self._timer())

    def empty(self) -> None:
        """Send what waits; ``StoreUnavailable`` when it still does."""
        self.flush()
        if self._waiting:
            raise StoreUnavailable("The bus is away, and a text stream waits for it.")

    def end(self, stream: str) -> None:
        """Forget a text, in order with what is written to it."""
        with self._lock:
            self._waiting.pop(stream, None)
            if self._channels() is not None:
                parts().bus.end_texts([text_target(self._instance, stream)])

    def _schedule(self) -> None:
        """Flush at the next frame, on the pool of turns: the timer thread must not wait for the lock or for the bus."""
        self._timer.at(self._next_at, lambda: parts().turns.submit(self.flush))

    def _send(self, now: float) -> None:
        """With the lock held, so that pieces keep their order."""
        self._next_at = now + settings().STREAM_INTERVAL
        try:
            channels = self._channels()
            if channels is None or self.is_dropped:
                self.is_dropped = True  # cancelled: late writes are dropped
                self._waiting.clear()
                return
            while self._waiting:
                piece = next(iter(self._waiting.values()))
                target = text_target(self._instance, piece.stream)
                parts().bus.append(channels, target, piece.text, replace=piece.replace)
                del self._waiting[piece.stream]
        except StoreUnavailable:
            self._next_at = now + _PAUSE
            if not self._is_due and now < self._given_up_at:
                self._is_due = True
                self._schedule()


logger = logging.getLogger("htmx_live.jobs")

observers: list[Callable[[BaseException], None]] = []  # told of every failure of a job; for tests and error trackers


time_limits: list[type[BaseException]] = [JobTimeout]  # what a job raises when its time is over

_performers: dict[str, Callable[[Job], None]] = {}


def give_performer(kind: str, performer: Callable[[Job], None]) -> None:
    """Say who performs jobs of this ``kind``, which are no live view's; leases and limits are then the performer's."""
    _performers[kind] = performer


def _run(job: Job) -> None:
    """Perform ``job`` on this thread."""
    if job.kind in _performers:
        _performers[job.kind](job)
        return
    with leased(job) as lease:
        run = insist(lambda: _wanted(job, lease)) if lease else None
        if run is not None:
            run.perform()


async def _arun(job: Job) -> None:
    """See ``_run()``: on a thread of the job's own, whose connections it uses, but for the callback itself.

    So ``AROUND`` is entered and left in one place, and holds for the callback's database calls too.
    """
    await sync_to_async(_run)(job)


perform = Perform(run=_run, arun=_arun)
give_perform(perform)
on_overdue("job", overdue_job)
on_overdue("mail", overdue_mail)


def _wanted(job: Job, lease: JobLease) -> "_Run | None":
    """The job as its record says; None when it was cancelled, replaced or has ended, even if its end waits as mail."""
    loaded = parts().store.load(job.instance)
    row = _row(loaded.record, job) if loaded else None
    if loaded is None or row is None or job.ref in ended(loaded.mail):
        return None
    return _Run(job, lease, row=row, record=loaded.record)


def _row(record: Record, job: Job) -> JobRow | None:
    return next((row for row in (*record.jobs, *record.lost) if row.ref == job.ref), None)


class _Run:
    """One job that runs; the outlet of its view."""

    def __init__(self, job: Job, lease: JobLease, *, row: JobRow, record: Record) -> None:
        self._job, self._lease, self._row, self._record = job, lease, row, record
        self._known: State = record.state  # as it was at the start or at the last hand-over
        self._pen = Pen(record.instance, self._channels, timer=parts().timer)
        self._surroundings = ExitStack()
        self._view: Live | None = None

    def perform(self) -> None:
        self._lease.is_wanted = self.is_wanted
        try:
            if self._row not in self._record.jobs or self._row.stage:
                self._tell(JobNews(ref=self._row.ref))  # somebody waits for it, or has given it up
            self.enter()
            self.end(result=self.call())
        except BaseException as error:  # a boundary: whatever a job raises is its end
            self.end(error=error)
        finally:
            self.leave()

    def is_wanted(self) -> bool:
        """Return whether the page still wants this job; called on the timer thread while the job runs.

        Also clears a "waiting for a worker" that was noted after the job had started.
        """
        newest = self._newest()
        if newest is not None and any(row.ref == self._job.ref and row.stage == "waiting" for row in newest.jobs):
            post_and_schedule(self._job.instance, JobNews(ref=self._job.ref))
        return newest is not None

    def enter(self) -> None:
        """Make the view, in its surroundings; ``PermissionDenied`` when it must not be used any more."""
        record, row = self._record, self._row
        check_state(record)  # the turn that hears of the failure ends the instance
        self._surroundings.enter_context(around(record))
        inner = Inner(
            record=record,
            kwargs=decode(record.kwargs),
            request=None if record.shared else stand_in(record),
            outlet=self,
            starter=row.handler,
            page=row.page,
        )
        view = import_view(record.view)(inner)
        take_state(view, record.state)
        if not record.shared and not view.has_permission():  # a shared one has no user to ask about
            raise PermissionDenied(f"{record.view}.has_permission() said no when {row.name} started.")
        self._view = view

    def leave(self) -> None:
        self._surroundings.close()

    def call(self) -> Any:
        assert self._view is not None, "enter() comes first"
        callback = find_callback(self._view, self._job.callback)
        args, kwargs = decode(self._job.args), decode(self._job.kwargs)
        if self._job.is_async:
            return async_to_sync(self._lease.call)(callback, *args, **kwargs)
        return callback(*args, **kwargs)

    def end(self, *, result: Any = None, error: BaseException | None = None) -> None:
        """Hand over the last changes, and how it ended."""
        try:
            result = self._heed(result)
            insist(self._pen.empty)
        except Exception as unsaid:  # a boundary: a last word that cannot be said must not keep the job from ending
            error = error or unsaid
        changes, removed, problem = self._changes()
        encoded, odd_result = _encode_result(self._view, result)
        error = error or problem or odd_result
        is_cancelled = isinstance(error, Cancelled | asyncio.CancelledError)
        end = JobEnd(
            ref=self._job.ref,
            changes=changes,
            removed=removed,
            result=encoded,
            failure=None if error is None or is_cancelled else self._failure(error),
            cancelled=is_cancelled,
        )
        self._tell(end)

    def _tell(self, mail: JobMail) -> None:
        """However long the store is away: what has been done must not be lost to that."""
        after_commit(lambda: insist(lambda: dispatch(self._job.instance, mail)))

    def _heed(self, result: Any) -> Any:
        """What a callback returns is its result, but for a redirect."""
        if isinstance(result, HttpResponseRedirectBase) and self._view is not None:
            self._view.redirect(result.url)
            return None
        return result

    # The view's outlet

    def ask(self, effect: Effect) -> None:
        if isinstance(effect, WriteText):
            self._pen.write(effect)
            self._lease.check()
            if self._pen.is_dropped or parts().runner.is_cancelled(self._job.ref):
                raise Cancelled
        elif isinstance(effect, EndText):
            insist(lambda: self._pen.end(effect.stream))
        elif isinstance(effect, DiscardFile):  # whether or not this job is still wanted
            after_commit(lambda: delete_file(effect.name))
        else:
            after_commit(lambda: self._hand_over([effect]))

    def flush(self) -> None:
        self.check_cancelled()
        self._pen.flush()
        after_commit(lambda: self._hand_over([]))

    def text(self, stream: str) -> str | None:
        self._pen.flush()
        text = insist(lambda: parts().bus.text(text_target(self._job.instance, stream)))
        return None if text is None else text.text

    def check_cancelled(self) -> None:
        self._lease.check()
        if self.cancelled:
            raise Cancelled

    @property
    def cancelled(self) -> bool:
        if parts().runner.is_cancelled(self._job.ref) or self._lease.stopped is not None:
            return True
        try:
            return self._newest() is None
        except StoreUnavailable:
            return False  # nobody can tell

    def _newest(self) -> Record | None:
        """The record as it is now; None when this job is no longer wanted."""
        loaded = parts().store.load(self._job.instance)
        return loaded.record if loaded and _row(loaded.record, self._job) else None

    def _channels(self) -> list[str] | None:
        newest = self._newest()
        return None if newest is None else channels_of(newest)

    def _hand_over(self, effects: list[Effect]) -> None:
        changes, removed, problem = self._changes()
        if problem is not None:
            raise problem
        self._tell(Merge(ref=self._job.ref, changes=changes, removed=removed, effects=effects))
        self._known = {name: text for name, text in (self._known | changes).items() if name not in removed}
        if self._view is not None:
            self._view._live.assigned.clear()

    def _changes(self) -> tuple[State, list[str], StateError | None]:
        """What was assigned, or differs from the copy at the last hand-over; and why some of it cannot be kept."""
        if self._view is None:
            return {}, [], None
        changes: State = {}
        problem = None
        held, assigned = state_of(self._view), self._view._live.assigned
        for name, value in held.items():
            try:
                text = encode_state({name: value})[name]
            except StateError as error:
                problem = error
            else:
                if name in assigned or self._known.get(name) != text:
                    changes[name] = text
        return changes, [name for name in self._known if name not in held], problem

    def _failure(self, error: BaseException) -> JobFailure:
        for observer in observers:
            observer(error)
        failure = JobFailure(id=random_id()[:8], kind="timeout" if isinstance(error, tuple(time_limits)) else "error")
        if isinstance(error, UserError):
            failure = replace(failure, kind="user", detail=str(error))
        log_failure(logger, error, "%s of %s failed (error %s)", self._row.name, self._record.view, failure.id)
        return failure


def _encode_result(view: Live | None, result: Any) -> tuple[Any, StateError | None]:
    """The encoded result; a value that cannot be kept matters only to a view that wants results."""
    try:
        return encode(result, "the result of the job"), None
    except StateError as error:
        return None, error if hasattr(view, "handle_async_result") else None
