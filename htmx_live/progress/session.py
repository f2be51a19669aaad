"""``ProgressSession``: one or more named tasks, followed from any process by any number of viewers.

session = ProgressSession.create(tasks={"import": "Import products"}, owner=request)
for row in session.track("import", rows):
    ...

``track(rows, "Import")``: a session with one task that is one loop.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, Generic, TypeVar

from django.http import HttpRequest

from htmx_live.core.exceptions import Cancelled
from htmx_live.core.records import Owner
from htmx_live.core.signing import random_id
from htmx_live.progress import transitions
from htmx_live.progress.background import can_retry, cancel_task_job, retry_task, set_start_deadline, start_task
from htmx_live.progress.cards import is_owner, validate_result_url
from htmx_live.progress.model import (
    ProgressStatus,
    SessionHeader,
    SessionSnapshot,
    SessionSummary,
    TaskState,
    summarize,
)
from htmx_live.progress.notifications import validate_notify
from htmx_live.progress.publisher import schedule_publish
from htmx_live.progress.reporter import TaskReporter, cancel_reporters, discard_pending, finish_task, get_reporter
from htmx_live.progress.snapshots import SnapshotStream, astream_snapshots, serialize_snapshot
from htmx_live.progress.store import create_or_join, progress_store, update_task
from htmx_live.progress.tasks import ParallelTask, RunningTask, SequentialTask, count_items, track_task
from htmx_live.runtime.owners import get_owners

__all__ = ["ProgressSession", "Track", "track"]


Item = TypeVar("Item")
Result = TypeVar("Result")


class ProgressSession:
    """A session of progress.  Make one with ``create()``, find one with ``get()``."""

    def __init__(self, header: SessionHeader, *, is_joined: bool = False) -> None:
        self.header = header
        self.is_joined = is_joined  # create() found it going

    @classmethod
    def create(
        cls, tasks: Mapping[str, Any], *, owner: Any = None, weights: Mapping[str, float] | None = None, key: str = ""
    ) -> "ProgressSession":
        """A new session of ``tasks`` (id -> name); ``owner`` is a request or a user.

        ``weights`` say how much of the whole a task is; 1 where none is given.  With a ``key``, the owner's session of
        that key that is going, if there is one: its ``is_joined`` is then true, and ``run()`` starts nothing twice.
        ``ValueError`` without a task.
        """
        if not tasks:
            raise ValueError(
                "ProgressSession.create(tasks={}): expected at least one task, such as {'import': 'Import'}."
            )
        names = {str(task): str(name) for task, name in tasks.items()}
        given_weights = {str(task): float(weight) for task, weight in (weights or {}).items()}
        for task, weight in given_weights.items():
            if task not in names:
                raise KeyError(f"weights has {task!r}, but the session has no such task. It has: {', '.join(names)}.")
            if not (isfinite(weight) and weight > 0):
                raise ValueError(f"weights[{task!r}] is {weight!r}: expected a number above 0.")
        session = SessionHeader(
            id=random_id(),
            owner=_resolve_owners(owner, create=True)[0],
            created=progress_store().now(),
            names=names,
            weights=given_weights,
            key=str(key),
        )
        active = create_or_join(session, {task: TaskState(since=session.created) for task in names})
        if active.id == session.id:
            schedule_publish(session.id)
        return cls(active, is_joined=active.id != session.id)

    @classmethod
    def get(cls, session_id: str, *, owner: Any = None) -> "ProgressSession | None":
        """The session, None when there is none any more, or when it is not ``owner``'s (a request or a user)."""
        snapshot = progress_store().load(str(session_id))
        if snapshot is None or (owner is not None and not is_owner(snapshot.header.owner, _resolve_owners(owner))):
            return None
        return cls(snapshot.header)

    # What is to be seen

    @property
    def session_id(self) -> str:
        return self.header.id

    @property
    def has_error(self) -> bool:
        return any(status.is_failed for status in self._summary().statuses.values())

    @property
    def is_complete(self) -> bool:
        return self.status is ProgressStatus.COMPLETE

    @property
    def is_running(self) -> bool:
        return any(status.is_running for status in self._summary().statuses.values())

    @property
    def overall_percent(self) -> int:
        return self._summary().percent

    @property
    def status(self) -> ProgressStatus:
        """Of all tasks together: error, cancelled, complete, running or pending."""
        return self._summary().status

    def to_dict(self) -> dict[str, Any]:
        """A snapshot: ``overall_percent``, ``session_id``, ``status``, ``tasks``; see docs/progress.md."""
        return serialize_snapshot(self.load_snapshot())

    def stream(self, poll_interval: float = 0.1) -> SnapshotStream:
        """Snapshots as lines of JSON until the end, the first at once; the body of a ``StreamingHttpResponse``."""
        return SnapshotStream(self.header.id, poll_interval)

    def astream(self, poll_interval: float = 0.1) -> Any:
        """See ``stream()``."""
        return astream_snapshots(self.header.id, poll_interval)

    def load_snapshot(self) -> SessionSnapshot:
        """What is kept of it now; of one that is gone, that it was lost."""
        snapshot = progress_store().load(self.header.id)
        if snapshot is not None:
            return snapshot
        gone = replace(TaskState(), status=ProgressStatus.LOST)
        return SessionSnapshot(
            header=self.header, states=dict.fromkeys(self.header.names, gone), cards={}, now=progress_store().now()
        )

    def _summary(self) -> SessionSummary:
        return summarize(self.load_snapshot())

    # What a task says

    def start(self, task_id: str) -> None:
        """The task begins; harmless when it has."""
        state = self._update_task(task_id, transitions.mark_started)
        if state is not None and state.status is ProgressStatus.RUNNING:
            get_reporter(self.header.id, task_id)

    def update(
        self,
        task_id: str,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Real figures and a message; what is left out stays.  Without ``total`` the extent is not known.

        ``Cancelled`` when the task was cancelled, ``ValueError`` for a figure that is negative or no number.
        """
        self._get_reporter(task_id).report(current=current, total=total, message=message, unit=unit)

    def advance(self, task_id: str, n: float = 1) -> None:
        """So much more is done; ``Cancelled`` when the task was cancelled."""
        self._get_reporter(task_id).report(advance=n)

    def complete(self, task_id: str, message: str | None = None, *, result: str = "") -> None:
        """The task has ended well, whoever started it.

        ``result`` is the URL of what came of it, to which the card links; ``ValueError`` if it is no http(s) URL.
        """
        self._require_task(task_id)
        url = validate_result_url(result)
        finish_task(
            self.header.id, task_id, lambda report: transitions.mark_completed(message or "", report, result=url)
        )

    def error(self, task_id: str, message: str | None = None, *, error_id: str = "") -> None:
        """The task has failed; ``message`` is shown to the user, ``error_id`` finds the reason in the log."""
        self._require_task(task_id)
        finish_task(
            self.header.id, task_id, lambda report: transitions.mark_failed(message or "", report, error=error_id)
        )

    def retrying(self, task_id: str) -> None:
        """The task has failed and will be started once more, by whoever runs it."""
        discard_pending(self.header.id, task_id)
        self._update_task(task_id, transitions.mark_retrying)

    def queued(self, task_id: str, job: str) -> None:
        """A Celery task of yours will do it, whose id is ``job``: one that is revoked before it begins is cancelled."""
        self._require_task(task_id)
        progress_store().link_celery_task(job, self.header.id, task_id)
        set_start_deadline(self.header.id, task_id)
        self._update_task(task_id, transitions.mark_waiting, at_once=True)

    def check_cancelled(self, task_id: str) -> None:
        """Raises ``Cancelled`` when the task was cancelled; asks the store."""
        self._require_task(task_id)
        found = progress_store().load_task(self.header.id, task_id)
        if found is not None and found[0].status is ProgressStatus.CANCELLED:
            raise Cancelled

    # Running tasks

    def task(self, task_id: str) -> RunningTask:
        """``with session.task("import") as task:`` starts, and then completes, fails or cancels the task."""
        self._require_task(task_id)
        return RunningTask(self, task_id)

    def track(
        self, task_id: str, rows: Iterable[Item], *, total: float | None = None, unit: str | None = None
    ) -> Iterator[Item]:
        """``rows``, counted as they are worked on; the task begins with the first and ends with the last.

        ``total`` is taken from ``len()``, or from ``.count()`` of a query.
        """
        return track_task(self, task_id, rows, get_reporter=lambda: self._get_reporter(task_id), total=total, unit=unit)

    def add_sequential(
        self, task_id: str, func: Callable[..., Result], *args: Any, **kwargs: Any
    ) -> SequentialTask[Result]:
        """Call ``func`` now, as this task; what it raises is kept for ``.result``."""
        try:
            with self.task(task_id):
                return SequentialTask(value=func(*args, **kwargs))
        except (Exception, Cancelled) as error:  # a boundary: kept for who asks for the result
            self._require_task(task_id)
            return SequentialTask(exception=error)

    def add_parallel(self, task_id: str, future: Any) -> ParallelTask[Any]:
        """The end of ``future`` is the end of this task."""
        self._require_task(task_id)
        return ParallelTask(self, task_id, future)

    def run(
        self, task_id: str, func: Callable[..., Any], *args: Any, notify: bool | str = False, **kwargs: Any
    ) -> None:
        """Have the configured runner call ``func`` as this task, once the caller's transaction is committed.

        ``func`` is a function at module level, sync or async, and its arguments are such as a live view can keep.  It
        reports by ``current_task()``.  In a session with a ``key`` a task that waits to run is not started again.
        ``notify`` tells the owner how it ends, by this text or the task's name; ``ValueError`` if nobody owns it.
        """
        self._require_task(task_id)
        name = notify if isinstance(notify, str) else self.header.names[task_id] if notify else ""
        start_task(self.header, task_id, func, args=args, kwargs=kwargs, notify=validate_notify(self.header, name))

    def cancel(self, *task_ids: str) -> None:
        """Cancel these tasks, or all that have not ended.  Work that goes on is told when it next reports."""
        tasks = list(task_ids or self.header.names)
        for task in tasks:
            state = self._update_task(task, transitions.mark_cancelled, at_once=True)
            if state is not None and state.status is ProgressStatus.CANCELLED:
                cancel_reporters(self.header.id, [task])
                cancel_task_job(state)

    def retry(self, *task_ids: str) -> None:
        """Start these tasks again, or all that failed, were lost or cancelled, if ``run()`` started them.

        Of those that nobody has started yet the cancelled ones wait again, where others are started.
        """
        snapshot, tasks = self.load_snapshot(), list(task_ids or self.header.names)
        for task in tasks:
            self._require_task(task)
        if any(can_retry(snapshot.states[task], snapshot.now) for task in tasks):
            for task in tasks:
                self._update_task(task, transitions.reopen)
        for task in tasks:
            retry_task(self.header.id, task)

    # Inside

    def _require_task(self, task_id: str) -> None:
        if task_id not in self.header.names:
            names = ", ".join(list(self.header.names)[:20])
            raise KeyError(f"The session has no task {task_id!r}. It has: {names}.")

    def _update_task(
        self, task_id: str, transition: transitions.Transition, *, at_once: bool = False
    ) -> TaskState | None:
        self._require_task(task_id)
        state = update_task(self.header.id, task_id, transition)
        schedule_publish(self.header.id, at_once=at_once)
        return state

    def _get_reporter(self, task_id: str) -> TaskReporter:
        if task_id not in self.header.names:
            self._require_task(task_id)
        return get_reporter(self.header.id, task_id)


def _resolve_owners(owner: Any, *, create: bool = False) -> tuple[Owner, ...]:
    """The owners that a request may act for, or the one that a user is."""
    if owner is None:
        return (Owner(),)
    if isinstance(owner, Owner):
        return (owner,)
    if isinstance(owner, HttpRequest):
        return get_owners(owner, create=create)
    if getattr(owner, "is_authenticated", False) and owner.pk is not None:
        return (Owner(user=str(owner.pk)),)
    raise TypeError(f"owner={owner!r}: expected a request, or a user who can log in.")


_TASK_ID = "track"


class Track(Generic[Item]):
    """An iteration, and the ``session`` that shows how far it has come."""

    def __init__(self, rows: Iterable[Item], name: str, *, owner: Any, total: float | None, unit: str | None) -> None:
        self.session = ProgressSession.create({_TASK_ID: name}, owner=owner)
        self._rows, self._unit = rows, unit
        self._total = count_items(rows) if total is None else total

    def __iter__(self) -> Iterator[Item]:
        return self.session.track(_TASK_ID, self._rows, total=self._total, unit=self._unit)

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError("Nobody knows how many there are. Say total=… to track().")
        return int(self._total)


def track(
    rows: Iterable[Item], name: str, *, owner: Any = None, total: float | None = None, unit: str | None = None
) -> Track[Item]:
    """``for row in track(rows, "Import", owner=request)``: the loop's progress is seen by its owner.

    ``owner`` is a request or a user.  ``total`` is taken from ``len()``, or from ``.count()`` of a query.
    """
    return Track(rows, name, owner=owner, total=total, unit=unit)
