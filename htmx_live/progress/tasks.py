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
from htmx_live.progress.reporter import REPORT_INTERVAL, TaskReporter, get_reporter, remove_reporter
from htmx_live.progress.store import progress_store
from htmx_live.runtime.services import services

__all__ = ["ParallelTask", "RunningTask", "SequentialTask", "count_items", "current_task", "report_items", "track_task"]


Item = TypeVar("Item")


def report_items(rows: Iterable[Item], reporter: TaskReporter, *, clock: Callable[[], float]) -> Iterator[Item]:
    """``rows``, each counted when the loop comes back for the next one; ``Cancelled`` when the task was cancelled."""
    done, due = 0, clock() + REPORT_INTERVAL
    try:
        for row in rows:
            if reporter.is_cancelled:
                raise Cancelled
            yield row
            done += 1
            if clock() >= due:
                reported, done = done, 0
                reporter.report(advance=reported)
                due = clock() + REPORT_INTERVAL
    finally:
        if done and not reporter.is_cancelled:
            reporter.report(advance=done)


def count_items(rows: Any) -> int | None:
    """How many there are: a query is counted by its database; None where nobody knows without going through them."""
    if hasattr(rows, "query") or not hasattr(rows, "__len__"):
        try:
            found = rows.count()
        except (AttributeError, TypeError):
            found = None
        return found if isinstance(found, int) else None
    return len(rows)


Result = TypeVar("Result")


class TaskSession(Protocol):
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

    def __init__(self, session: TaskSession, task_id: str, future: Any) -> None:
        self._session, self._task_id, self.future = session, task_id, future
        session.start(task_id)
        future.add_done_callback(self._on_done)

    @property
    def result(self) -> Result:
        """What the future gives; waits for it."""
        result: Result = self.future.result()
        return result

    def _on_done(self, future: Any) -> None:
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

    def __init__(self, session: TaskSession, task_id: str, *, ref: str | None = None, error_id: str = "") -> None:
        self.session, self.task_id = session, task_id
        self._ref, self._error_id = ref, error_id
        self._context_token: Token[RunningTask | None] | None = None

    def track(self, rows: Iterable[Item], *, total: float | None = None, unit: str | None = None) -> Iterator[Item]:
        """``rows``, counted as they are worked on; see ``ProgressSession.track``."""
        self.update(total=count_items(rows) if total is None else total, unit=unit)
        return report_items(rows, self._reporter, clock=services().timer)

    def update(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """See ``ProgressSession.update``."""
        self._reporter.report(current=current, total=total, message=message, unit=unit)

    def advance(self, n: float = 1) -> None:
        """So much more is done."""
        self._reporter.report(advance=n)

    def complete(self, message: str | None = None, *, result: str = "") -> None:
        """It has ended well, which the end of the block says too; see ``ProgressSession.complete``."""
        if self._is_superseded():
            raise Cancelled
        self.session.complete(self.task_id, message, result=result)

    def check_cancelled(self) -> None:
        """Raises ``Cancelled`` when the task was cancelled."""
        if self._reporter.is_cancelled or self._is_superseded():
            raise Cancelled
        self.session.check_cancelled(self.task_id)

    def _raise_ignore_in_celery(self, error: Cancelled) -> None:
        if not self.is_run_by_runner:
            _raise_ignore(error)

    @property
    def is_run_by_runner(self) -> bool:
        """Whether the runner performs it, which takes ``Cancelled`` as it is."""
        return self._ref is not None

    def _is_superseded(self) -> bool:
        """Whether the runner was given the task once more: it is that start's, and this one's end is nobody's."""
        try:
            found = None if self._ref is None else progress_store().load_task(self.session.session_id, self.task_id)
        except StoreUnavailable:
            return False
        return found is not None and found[0].ref != self._ref

    def __enter__(self) -> "RunningTask":
        self._reporter = get_reporter(self.session.session_id, self.task_id, ref=self._ref)
        self.session.start(self.task_id)
        try:
            self.session.check_cancelled(self.task_id)
        except Cancelled as cancelled:
            remove_reporter(self._reporter)
            self._raise_ignore_in_celery(cancelled)
            raise
        self._context_token = _current_task.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._context_token is not None
        _current_task.reset(self._context_token)
        if self._is_superseded():
            remove_reporter(self._reporter)
            if isinstance(error, Cancelled):
                self._raise_ignore_in_celery(error)
        elif error is None:
            self.session.complete(self.task_id)
        elif isinstance(error, Cancelled):
            self.session.cancel(self.task_id)
            self._raise_ignore_in_celery(error)
        elif _is_celery_exception(error, "Retry") or _is_retried_by_celery(error):
            self.session.retrying(self.task_id)
        elif _is_celery_exception(error, "Ignore"):
            self.session.cancel(self.task_id)
        else:
            message = str(error) if isinstance(error, UserError) else None
            self.session.error(self.task_id, message, error_id=self._error_id)

    _reporter: TaskReporter


_current_task: ContextVar[RunningTask | None] = ContextVar("current_task", default=None)


def current_task() -> RunningTask | None:
    """The task in whose block this code runs: how a function that ``session.run()`` started reports."""
    return _current_task.get()


def track_task(
    session: TaskSession,
    task_id: str,
    rows: Iterable[Item],
    *,
    get_reporter: Callable[[], TaskReporter],
    total: float | None,
    unit: str | None,
) -> Iterator[Item]:
    """A whole task that is one loop: it begins with the first item and ends with the last."""
    session.start(task_id)
    session.check_cancelled(task_id)
    reporter = get_reporter()
    reporter.report(total=count_items(rows) if total is None else total, unit=unit)
    try:
        yield from report_items(rows, reporter, clock=services().timer)
    except GeneratorExit:
        session.error(task_id)  # left in the middle: by an exception in the loop's body, or by a break
        raise
    except Cancelled as cancelled:
        session.cancel(task_id)
        _raise_ignore(cancelled)
        raise
    except BaseException:
        session.error(task_id)
        raise
    session.complete(task_id)


def _is_celery_exception(error: BaseException, name: str) -> bool:
    """Whether it is one of Celery's control exceptions; without importing Celery where nobody has."""
    exceptions = sys.modules.get("celery.exceptions")
    return exceptions is not None and isinstance(error, getattr(exceptions, name))


def _is_retried_by_celery(error: BaseException) -> bool:
    """Whether the Celery task that runs here is declared to try again by itself after such an error."""
    celery = sys.modules.get("celery")
    task: Any = celery.current_task if celery is not None else None
    if not task or isinstance(error, tuple(getattr(task, "dont_autoretry_for", ()))):
        return False
    max_retries = getattr(task, "override_max_retries", task.max_retries)
    is_left = max_retries is None or task.request.retries < max_retries
    return is_left and isinstance(error, tuple(getattr(task, "autoretry_for", ())))


def _raise_ignore(error: Cancelled) -> None:
    """A cancelled task is no failure to Celery."""
    celery, outer = sys.modules.get("celery"), _current_task.get()
    if celery is not None and celery.current_task and not (outer and outer.is_run_by_runner):
        from celery.exceptions import Ignore

        raise Ignore("The task was cancelled.") from error
