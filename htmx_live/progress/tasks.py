"""Tasks: the ways to run one task of a session here and now.

``RunningTask`` is a block of code (``with session.task("import") as task``), ``SequentialTask`` a call that was made,
``ParallelTask`` a future that somebody else resolves.

Tracking: an iteration that says how far it has come.

The loop looks at the time after each item and reports a few times a second, so that an item costs less than a
microsecond beyond a plain generator.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from htmx_live.core.exceptions import Cancelled, StoreUnavailable, UserError
from htmx_live.progress.reporter import INTERVAL, Gauge, forget, gauge
from htmx_live.progress.store import keeping
from htmx_live.runtime.services import parts

__all__ = ["ParallelTask", "RunningTask", "SequentialTask", "counted", "current_task", "length", "track_rows"]


Item = TypeVar("Item")


def counted(rows: Iterable[Item], gauge: Gauge, *, clock: Callable[[], float]) -> Iterator[Item]:
    """``rows``, each counted when the loop comes back for the next one; ``Cancelled`` when the task was cancelled."""
    done, due = 0, clock() + INTERVAL
    try:
        for row in rows:
            if gauge.is_cancelled:
                raise Cancelled
            yield row
            done += 1
            if clock() >= due:
                told, done = done, 0
                gauge.report(advance=told)
                due = clock() + INTERVAL
    finally:
        if done and not gauge.is_cancelled:
            gauge.report(advance=done)


def length(rows: Any) -> int | None:
    """How many there are: a query is counted by its database; None where nobody knows without going through them."""
    if hasattr(rows, "query") or not hasattr(rows, "__len__"):
        try:
            found = rows.count()
        except (AttributeError, TypeError):
            found = None
        return found if isinstance(found, int) else None
    return len(rows)


Result = TypeVar("Result")


class Ends(Protocol):
    """What tasks need of their session."""

    @property
    def session_id(self) -> str: ...

    def start(self, task_id: str) -> None: ...

    def complete(self, task_id: str, message: str | None = None, *, result: str = "") -> None: ...

    def error(self, task_id: str, message: str | None = None, *, error_id: str = "") -> None: ...

    def cancel(self, *task_ids: str) -> None: ...

    def retrying(self, task_id: str) -> None: ...

    def check_cancelled(self, task_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SequentialTask(Generic[Result]):
    """A call that was made, with what it returned or raised."""

    value: Result | None = None
    exception: BaseException | None = None

    @property
    def result(self) -> Result:
        """What the call returned; raises what it raised."""
        if self.exception is not None:
            raise self.exception
        return self.value  # type: ignore[return-value]


class ParallelTask(Generic[Result]):
    """A ``concurrent.futures.Future`` (or asyncio's) whose end is the task's; it needs no thread to wait for it."""

    def __init__(self, session: Ends, task_id: str, future: Any) -> None:
        self._session, self._task_id, self.future = session, task_id, future
        session.start(task_id)
        future.add_done_callback(self._end)

    @property
    def result(self) -> Result:
        """What the future gives; waits for it."""
        result: Result = self.future.result()
        return result

    def _end(self, future: Any) -> None:
        try:
            failure = future.exception()
        except BaseException as cancelled:  # CancelledError: of concurrent.futures, or asyncio's own
            failure = cancelled
        if failure is None:
            self._session.complete(self._task_id)
        elif future.cancelled() or isinstance(failure, CancelledError | Cancelled):
            self._session.cancel(self._task_id)
        else:
            self._session.error(self._task_id)


class RunningTask:
    """A block of code: it starts the task, and completes, fails or cancels it when it is left."""

    def __init__(self, session: Ends, task_id: str, *, ref: str | None = None, error_id: str = "") -> None:
        self.session, self.task_id = session, task_id
        self._ref, self._error_id = ref, error_id
        self._outer: Token[RunningTask | None] | None = None

    def track(self, rows: Iterable[Item], *, total: float | None = None, unit: str | None = None) -> Iterator[Item]:
        """``rows``, counted as they are worked on; see ``ProgressSession.track``."""
        self.update(total=length(rows) if total is None else total, unit=unit)
        return counted(rows, self._gauge, clock=parts().timer)

    def update(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """See ``ProgressSession.update``."""
        self._gauge.report(current=current, total=total, message=message, unit=unit)

    def advance(self, n: float = 1) -> None:
        """So much more is done."""
        self._gauge.report(advance=n)

    def complete(self, message: str | None = None, *, result: str = "") -> None:
        """It has ended well, which the end of the block says too; see ``ProgressSession.complete``."""
        if self._counts_no_more():
            raise Cancelled
        self.session.complete(self.task_id, message, result=result)

    def check_cancelled(self) -> None:
        """Raises ``Cancelled`` when the task was cancelled."""
        if self._gauge.is_cancelled or self._counts_no_more():
            raise Cancelled
        self.session.check_cancelled(self.task_id)

    def _ignore(self, error: Cancelled) -> None:
        if not self.is_runners:
            _ignore_in_celery(error)

    @property
    def is_runners(self) -> bool:
        """Whether the runner performs it, which takes ``Cancelled`` as it is."""
        return self._ref is not None

    def _counts_no_more(self) -> bool:
        """Whether the runner was given the task once more: it is that start's, and this one's end is nobody's."""
        try:
            found = None if self._ref is None else keeping().row(self.session.session_id, self.task_id)
        except StoreUnavailable:
            return False
        return found is not None and found[0].ref != self._ref

    def __enter__(self) -> "RunningTask":
        self._gauge = gauge(self.session.session_id, self.task_id, ref=self._ref)
        self.session.start(self.task_id)
        try:
            self.session.check_cancelled(self.task_id)
        except Cancelled as cancelled:
            forget(self._gauge)
            self._ignore(cancelled)
            raise
        self._outer = current_task_of.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._outer is not None
        current_task_of.reset(self._outer)
        if self._counts_no_more():
            forget(self._gauge)
            if isinstance(error, Cancelled):
                self._ignore(error)
        elif error is None:
            self.session.complete(self.task_id)
        elif isinstance(error, Cancelled):
            self.session.cancel(self.task_id)
            self._ignore(error)
        elif _is_celerys(error, "Retry") or _is_retried(error):
            self.session.retrying(self.task_id)
        elif _is_celerys(error, "Ignore"):
            self.session.cancel(self.task_id)
        else:
            said = str(error) if isinstance(error, UserError) else None
            self.session.error(self.task_id, said, error_id=self._error_id)

    _gauge: Gauge


current_task_of: ContextVar[RunningTask | None] = ContextVar("current_task", default=None)


def current_task() -> RunningTask | None:
    """The task in whose block this code runs: how a function that ``session.run()`` started reports."""
    return current_task_of.get()


def track_rows(
    session: Ends,
    task_id: str,
    rows: Iterable[Item],
    *,
    report: Callable[[], Gauge],
    total: float | None,
    unit: str | None,
) -> Iterator[Item]:
    """A whole task that is one loop: it begins with the first item and ends with the last."""
    session.start(task_id)
    session.check_cancelled(task_id)
    known = report()
    known.report(total=length(rows) if total is None else total, unit=unit)
    try:
        yield from counted(rows, known, clock=parts().timer)
    except GeneratorExit:
        session.error(task_id)  # left in the middle: by an exception in the loop's body, or by a break
        raise
    except Cancelled as cancelled:
        session.cancel(task_id)
        _ignore_in_celery(cancelled)
        raise
    except BaseException:
        session.error(task_id)
        raise
    session.complete(task_id)


def _is_celerys(error: BaseException, name: str) -> bool:
    """Whether it is one of Celery's control exceptions; without importing Celery where nobody has."""
    exceptions = sys.modules.get("celery.exceptions")
    return exceptions is not None and isinstance(error, getattr(exceptions, name))


def _is_retried(error: BaseException) -> bool:
    """Whether the Celery task that runs here is declared to try again by itself after such an error."""
    celery = sys.modules.get("celery")
    task: Any = celery.current_task if celery is not None else None
    if not task or isinstance(error, tuple(getattr(task, "dont_autoretry_for", ()))):
        return False
    most = getattr(task, "override_max_retries", task.max_retries)
    is_left = most is None or task.request.retries < most
    return is_left and isinstance(error, tuple(getattr(task, "autoretry_for", ())))


def _ignore_in_celery(error: Cancelled) -> None:
    """A cancelled task is no failure to Celery."""
    celery, outer = sys.modules.get("celery"), current_task_of.get()
    if celery is not None and celery.current_task and not (outer and outer.is_runners):
        from celery.exceptions import Ignore

        raise Ignore("The task was cancelled.") from error
