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

``Pen``: writes a job's text streams, at most one frame per stream in ``TEXT_STREAM_INTERVAL``.

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
from htmx_live.jobs.runner import Executor, Job
from htmx_live.jobs.watchdog import register_deadline_handler
from htmx_live.runtime.dispatch import check_state, dispatch
from htmx_live.runtime.files import delete_stored_upload
from htmx_live.runtime.inbox_messages import (
    AppendText,
    ClearText,
    DeleteUpload,
    Effect,
    JobFailure,
    JobFinished,
    JobFlush,
    JobMessage,
    JobStageChanged,
)
from htmx_live.runtime.job_leases import JobLease, handle_overdue_job, handle_overdue_mailbox, job_lease
from htmx_live.runtime.message_handlers import finished_refs
from htmx_live.runtime.request_context import activate, run_after_commit, synthetic_request
from htmx_live.runtime.services import GIVE_UP_AFTER, retry_blocking, services, set_default_executor
from htmx_live.runtime.state import State, decode, encode, encode_state, get_state, set_state
from htmx_live.runtime.turn_queue import enqueue_and_schedule
from htmx_live.runtime.variants import instance_channels
from htmx_live.runtime.view import Live, ViewContext, find_callback, import_view

__all__ = ["TextStreamWriter", "executor", "observers", "register_executor", "time_limit_errors"]


_RETRY_DELAY = 1.0  # seconds until a bus that is away is tried again


class TextStreamWriter:
    """``channels()`` gives those of the instance, or None when its job is no longer wanted.

    ``is_dropped``: that was so when something was to be sent; nothing is from then on.
    """

    def __init__(self, instance: str, channels: Callable[[], Sequence[str] | None], *, timer: Timer) -> None:
        self._instance, self._channels, self._timer = instance, channels, timer
        self.is_cancelled = False
        self._lock = threading.Lock()
        self._pending: dict[str, AppendText] = {}
        self._next_at = 0.0  # no frame before then
        self._is_scheduled = False  # the timer will come
        self._deadline = timer() + settings().JOB_TIME_LIMIT + GIVE_UP_AFTER

    def write(self, effect: AppendText) -> None:
        with self._lock:
            pending = self._pending.get(effect.stream)
            if pending is not None and not effect.replace:
                text = (pending.text + effect.text)[-settings().MAX_STREAM_TEXT :]
                effect = AppendText(stream=effect.stream, text=text, replace=pending.replace)
            self._pending[effect.stream] = effect
            now = self._timer()
            if now >= self._next_at:
                self._publish(now)
            elif not self._is_scheduled:
                self._is_scheduled = True
                self._schedule()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._is_scheduled = False
            if self._pending:
                self._publish(self._timer())

    def close(self) -> None:
        """Send what waits; ``StoreUnavailable`` when it still does."""
        self.flush()
        if self._pending:
            raise StoreUnavailable("The bus is away, and a text stream waits for it.")

    def clear(self, stream: str) -> None:
        """Forget a text, in order with what is written to it."""
        with self._lock:
            self._pending.pop(stream, None)
            if self._channels() is not None:
                services().bus.clear_texts([text_target(self._instance, stream)])

    def _schedule(self) -> None:
        """Flush at the next frame, on the pool of turns: the timer thread must not wait for the lock or for the bus."""
        self._timer.call_at(self._next_at, lambda: services().turn_pool.submit(self.flush))

    def _publish(self, now: float) -> None:
        """With the lock held, so that pieces keep their order."""
        self._next_at = now + settings().TEXT_STREAM_INTERVAL
        try:
            channels = self._channels()
            if channels is None or self.is_cancelled:
                self.is_cancelled = True  # cancelled: late writes are dropped
                self._pending.clear()
                return
            while self._pending:
                effect = next(iter(self._pending.values()))
                target = text_target(self._instance, effect.stream)
                services().bus.append(channels, target, effect.text, replace=effect.replace)
                del self._pending[effect.stream]
        except StoreUnavailable:
            self._next_at = now + _RETRY_DELAY
            if not self._is_scheduled and now < self._deadline:
                self._is_scheduled = True
                self._schedule()


logger = logging.getLogger("htmx_live.runtime")

observers: list[Callable[[BaseException], None]] = []  # told of every failure of a job; for tests and error trackers


time_limit_errors: list[type[BaseException]] = [JobTimeout]  # what a job raises when its time is over

_executors: dict[str, Callable[[Job], None]] = {}


def register_executor(kind: str, executor: Callable[[Job], None]) -> None:
    """Say who performs jobs of this ``kind``, which are no live view's; leases and limits are then the performer's."""
    _executors[kind] = executor


def _execute(job: Job) -> None:
    """Perform ``job`` on this thread."""
    if job.kind in _executors:
        _executors[job.kind](job)
        return
    with job_lease(job) as lease:
        execution = retry_blocking(lambda: _load_execution(job, lease)) if lease else None
        if execution is not None:
            execution.run()


async def _aexecute(job: Job) -> None:
    """See ``_run()``: on a thread of the job's own, whose connections it uses, but for the callback itself.

    So ``TURN_CONTEXT`` is entered and left in one place, and holds for the callback's database calls too.
    """
    await sync_to_async(_execute)(job)


executor = Executor(run=_execute, arun=_aexecute)
set_default_executor(executor)
register_deadline_handler("job", handle_overdue_job)
register_deadline_handler("mail", handle_overdue_mailbox)


def _load_execution(job: Job, lease: JobLease) -> "JobExecution | None":
    """The job as its record says; None when it was cancelled, replaced or has ended, even if its end waits as mail."""
    loaded = services().store.load(job.instance)
    row = _find_row(loaded.record, job) if loaded else None
    if loaded is None or row is None or job.ref in finished_refs(loaded.messages):
        return None
    return JobExecution(job, lease, row=row, record=loaded.record)


def _find_row(record: Record, job: Job) -> JobRow | None:
    return next((row for row in (*record.jobs, *record.lost) if row.ref == job.ref), None)


class JobExecution:
    """One job that runs; the outlet of its view."""

    def __init__(self, job: Job, lease: JobLease, *, row: JobRow, record: Record) -> None:
        self._job, self._lease, self._row, self._record = job, lease, row, record
        self._flushed_state: State = record.state  # as it was at the start or at the last hand-over
        self._text_writer = TextStreamWriter(record.instance, self._load_channels, timer=services().timer)
        self._exit_stack = ExitStack()
        self._view: Live | None = None

    def run(self) -> None:
        self._lease.is_wanted = self.is_wanted
        try:
            if self._row not in self._record.jobs or self._row.stage:
                self._notify(JobStageChanged(ref=self._row.ref))  # somebody waits for it, or has given it up
            self.setup()
            self.finish(result=self.run_callback())
        except BaseException as error:  # a boundary: whatever a job raises is its end
            self.finish(error=error)
        finally:
            self.teardown()

    def is_wanted(self) -> bool:
        """Return whether the page still wants this job; called on the timer thread while the job runs.

        Also clears a "waiting for a worker" that was noted after the job had started.
        """
        newest = self._load_wanted_record()
        if newest is not None and any(row.ref == self._job.ref and row.stage == "waiting" for row in newest.jobs):
            enqueue_and_schedule(self._job.instance, JobStageChanged(ref=self._job.ref))
        return newest is not None

    def setup(self) -> None:
        """Make the view, in its surroundings; ``PermissionDenied`` when it must not be used any more."""
        record, row = self._record, self._row
        check_state(record)  # the turn that hears of the failure ends the instance
        self._exit_stack.enter_context(activate(record))
        context = ViewContext(
            record=record,
            kwargs=decode(record.kwargs),
            request=None if record.shared else synthetic_request(record),
            sink=self,
            handler=row.handler,
            page=row.page,
        )
        view = import_view(record.view)(context)
        set_state(view, record.state)
        if not record.shared and not view.has_permission():  # a shared one has no user to ask about
            raise PermissionDenied(f"{record.view}.has_permission() said no when {row.name} started.")
        self._view = view

    def teardown(self) -> None:
        self._exit_stack.close()

    def run_callback(self) -> Any:
        assert self._view is not None, "enter() comes first"
        callback = find_callback(self._view, self._job.callback)
        args, kwargs = decode(self._job.args), decode(self._job.kwargs)
        if self._job.is_async:
            return async_to_sync(self._lease.run_async_callback)(callback, *args, **kwargs)
        return callback(*args, **kwargs)

    def finish(self, *, result: Any = None, error: BaseException | None = None) -> None:
        """Hand over the last changes, and how it ended."""
        try:
            result = self._handle_return_value(result)
            retry_blocking(self._text_writer.close)
        except Exception as unsaid:  # a boundary: a last word that cannot be said must not keep the job from ending
            error = error or unsaid
        changes, removed, state_error = self._collect_changes()
        encoded, result_error = _encode_result(self._view, result)
        error = error or state_error or result_error
        is_cancelled = isinstance(error, Cancelled | asyncio.CancelledError)
        message = JobFinished(
            ref=self._job.ref,
            changes=changes,
            removed=removed,
            result=encoded,
            failure=None if error is None or is_cancelled else self._report_failure(error),
            cancelled=is_cancelled,
        )
        self._notify(message)

    def _notify(self, message: JobMessage) -> None:
        """However long the store is away: what has been done must not be lost to that."""
        run_after_commit(lambda: retry_blocking(lambda: dispatch(self._job.instance, message)))

    def _handle_return_value(self, result: Any) -> Any:
        """What a callback returns is its result, but for a redirect."""
        if isinstance(result, HttpResponseRedirectBase) and self._view is not None:
            self._view.redirect(result.url)
            return None
        return result

    # The view's outlet

    def emit(self, effect: Effect) -> None:
        if isinstance(effect, AppendText):
            self._text_writer.write(effect)
            self._lease.raise_if_stopped()
            if self._text_writer.is_cancelled or services().runner.is_cancelled(self._job.ref):
                raise Cancelled
        elif isinstance(effect, ClearText):
            retry_blocking(lambda: self._text_writer.clear(effect.stream))
        elif isinstance(effect, DeleteUpload):  # whether or not this job is still wanted
            run_after_commit(lambda: delete_stored_upload(effect.name))
        else:
            run_after_commit(lambda: self._flush([effect]))

    def flush(self) -> None:
        self.check_cancelled()
        self._text_writer.flush()
        run_after_commit(lambda: self._flush([]))

    def get_text(self, stream: str) -> str | None:
        self._text_writer.flush()
        text = retry_blocking(lambda: services().bus.text(text_target(self._job.instance, stream)))
        return None if text is None else text.text

    def check_cancelled(self) -> None:
        self._lease.raise_if_stopped()
        if self.is_cancelled:
            raise Cancelled

    @property
    def is_cancelled(self) -> bool:
        if services().runner.is_cancelled(self._job.ref) or self._lease.stop_reason is not None:
            return True
        try:
            return self._load_wanted_record() is None
        except StoreUnavailable:
            return False  # nobody can tell

    def _load_wanted_record(self) -> Record | None:
        """The record as it is now; None when this job is no longer wanted."""
        loaded = services().store.load(self._job.instance)
        return loaded.record if loaded and _find_row(loaded.record, self._job) else None

    def _load_channels(self) -> list[str] | None:
        newest = self._load_wanted_record()
        return None if newest is None else instance_channels(newest)

    def _flush(self, effects: list[Effect]) -> None:
        changes, removed, state_error = self._collect_changes()
        if state_error is not None:
            raise state_error
        self._notify(JobFlush(ref=self._job.ref, changes=changes, removed=removed, effects=effects))
        self._flushed_state = {
            name: text for name, text in (self._flushed_state | changes).items() if name not in removed
        }
        if self._view is not None:
            self._view._live.assigned.clear()

    def _collect_changes(self) -> tuple[State, list[str], StateError | None]:
        """What was assigned, or differs from the copy at the last hand-over; and why some of it cannot be kept."""
        if self._view is None:
            return {}, [], None
        changes: State = {}
        state_error = None
        attributes, assigned = get_state(self._view), self._view._live.assigned
        for name, value in attributes.items():
            try:
                text = encode_state({name: value})[name]
            except StateError as error:
                state_error = error
            else:
                if name in assigned or self._flushed_state.get(name) != text:
                    changes[name] = text
        return changes, [name for name in self._flushed_state if name not in attributes], state_error

    def _report_failure(self, error: BaseException) -> JobFailure:
        for observer in observers:
            observer(error)
        failure = JobFailure(
            id=random_id()[:8], kind="timeout" if isinstance(error, tuple(time_limit_errors)) else "error"
        )
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
