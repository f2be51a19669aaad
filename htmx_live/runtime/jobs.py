"""Jobs: the background work of a view, from its start to its one end.

A job works on a copy of the newest state.  What it changes is handed over by ``flush()`` and at its end, as events of
its instance; what it asks for goes the same way at once.  Whether it is still wanted stands in the record: a job whose
ref is gone from there was cancelled or replaced, and whatever it hands over is dropped there.

                       start ──▶ not wanted: nothing
                         │
                         ▼        flush, ask
                      running ──────────────▶ Merge
                      │  │  └── raises Cancelled ──▶ JobEnd(cancelled)
             returns  │  └───── raises ──▶ JobEnd(failure)
                      ▼
                 JobEnd(result)
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied

from htmx_live.callbacks import find_callback
from htmx_live.events import Effect, JobEnd, JobFailure, Merge, WriteText
from htmx_live.exceptions import Cancelled, StateError, UserError
from htmx_live.fragments import text_target
from htmx_live.grants import random_id
from htmx_live.live import Inner, Live, import_view, state_of
from htmx_live.records import JobRow, Record
from htmx_live.runners.base import Job, Perform
from htmx_live.runtime.channels import channels_of
from htmx_live.runtime.dispatch import dispatch
from htmx_live.runtime.parts import give_perform, parts
from htmx_live.runtime.pen import Pen
from htmx_live.runtime.surroundings import around, stand_in
from htmx_live.state import State, decode, decode_state, encode, encode_state

__all__ = ["observers", "perform"]

logger = logging.getLogger("htmx_live.jobs")

observers: list[Callable[[BaseException], None]] = []  # told of every failure of a job; for tests and error trackers


def _run(job: Job) -> None:
    """Perform ``job`` on this thread."""
    run = _begin(job)
    if run is None:
        return
    with run.surrounded():
        try:
            run.allow()
            run.end(result=run.call())
        except BaseException as error:  # a boundary: whatever a job raises is its end
            run.end(error=error)


async def _arun(job: Job) -> None:
    """See ``_run()``."""
    run = await sync_to_async(_begin)(job)
    if run is None:
        return
    with run.surrounded():
        try:
            await sync_to_async(run.allow)()
            result = await run.call()
            await sync_to_async(run.end)(result=result)
        except BaseException as error:  # a boundary: whatever a job raises is its end
            await asyncio.shield(sync_to_async(run.end)(error=error))


perform = Perform(run=_run, arun=_arun)
give_perform(perform)


def _begin(job: Job) -> "_Run | None":
    loaded = parts().store.load(job.instance)
    row = _row(loaded.record, job) if loaded else None
    if loaded is None or row is None:
        return None
    try:
        return _Run(job, row, loaded.record)
    except Exception:  # a boundary: a job that cannot even begin must end on the page
        error = random_id()[:8]
        logger.exception("%s of %s could not begin (error %s)", row.name, loaded.record.view, error)
        dispatch(job.instance, JobEnd(ref=job.ref, failure=JobFailure(id=error)))
        return None


def _row(record: Record, job: Job) -> JobRow | None:
    return next((row for row in record.jobs if row.ref == job.ref), None)


class _Run:
    """One job that runs; the outlet of its view."""

    def __init__(self, job: Job, row: JobRow, record: Record) -> None:
        self._job, self._row, self._record = job, row, record
        self._known: State = record.state  # as it was at the start or at the last flush
        self._pen = Pen(record.instance, lambda: parts().bus, self._channels)
        inner = Inner(
            record=record,
            kwargs=decode(record.kwargs),
            request=None if record.shared else stand_in(record),
            outlet=self,
            starter=row.handler,
            page=row.page,
        )
        self._view: Live = import_view(record.view)(inner)
        self._view.__dict__.update(decode_state(record.state))

    @contextmanager
    def surrounded(self) -> Iterator[None]:
        with around(self._record):
            yield

    def allow(self) -> None:
        if not self._record.shared and not self._view.has_permission():  # a shared one has no user to ask about
            raise PermissionDenied(f"{self._record.view}.has_permission() said no when {self._row.name} started.")

    def call(self) -> Any:
        callback = find_callback(self._view, self._job.callback)
        return callback(*decode(self._job.args), **decode(self._job.kwargs))

    def end(self, *, result: Any = None, error: BaseException | None = None) -> None:
        """Hand over the last changes, and how it ended."""
        self._pen.close()
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
        dispatch(self._job.instance, end)

    # The view's outlet

    def ask(self, effect: Effect) -> None:
        if isinstance(effect, WriteText):
            self._pen.write(effect)
        else:
            self._hand_over([effect])

    def flush(self) -> None:
        if self.cancelled:
            raise Cancelled
        self._pen.flush()
        self._hand_over([])

    def text(self, stream: str) -> str | None:
        self._pen.flush()
        text = parts().bus.text(text_target(self._job.instance, stream))
        return None if text is None else text.text

    @property
    def cancelled(self) -> bool:
        return parts().runner.is_cancelled(self._job.ref) or self._newest() is None

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
        dispatch(self._job.instance, Merge(ref=self._job.ref, changes=changes, removed=removed, effects=effects))

    def _changes(self) -> tuple[State, list[str], StateError | None]:
        """What is assigned, or unequal to the copy at the last hand-over; and why some of it cannot be kept."""
        state: State = {}
        problem = None
        for name, value in state_of(self._view).items():
            try:
                state |= encode_state({name: value})
            except StateError as error:
                problem = error
        known, self._known = self._known, state
        changes = {name: text for name, text in state.items() if known.get(name) != text}
        present = state_of(self._view)
        return changes, [name for name in known if name not in present], problem

    def _failure(self, error: BaseException) -> JobFailure:
        for observer in observers:
            observer(error)
        if isinstance(error, UserError):
            return JobFailure(id=random_id()[:8], kind="user", detail=str(error))
        failure = JobFailure(id=random_id()[:8])
        logger.error("%s of %s failed (error %s)", self._row.name, self._record.view, failure.id, exc_info=error)
        return failure


def _encode_result(view: Live, result: Any) -> tuple[Any, StateError | None]:
    """The encoded result; a value that cannot be kept matters only to a view that wants results."""
    try:
        return encode(result, "the result of the job"), None
    except StateError as error:
        return None, error if hasattr(view, "handle_async_result") else None
