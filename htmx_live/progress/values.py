"""Values: what is kept of a session and its tasks, and what is shown of them at a time.

A task is one record (``Row``), changed by itself; its ``rev`` rises with each change, and the sum of the revs is the
session's sequence number.  What a viewer sees is a pure function of the kept values and the time::

    pending ─▶ queued ─▶ running ─▶ completing ─▶ complete
                │  ▲      │  ▲ │
                │  │      │  │ └─▶ error · cancelled
                │  │      │  └─── lost: its process gave no sign of life; a sign of life brings it back
                │  └──────┴────── retrying: it ended, and is to be started once more
                └───────────────▶ cancelled

``stalled`` and ``completing`` are never kept: they follow from the times.  Times are seconds since 1970 on the clock of
the place where the values are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from htmx_live.progress.easing import climbed, simulated
from htmx_live.progress.rate import NO_RATE, Rate
from htmx_live.records import Owner

__all__ = [
    "LEASE",
    "STALLED_AFTER",
    "WORKER_WAIT",
    "Kept",
    "ProgressStatus",
    "Row",
    "Seen",
    "Session",
    "is_going",
    "listed_under",
    "seen",
]

STALLED_AFTER = 10.0  # seconds without a sign of life
LEASE = 12.0  # seconds without a sign of life after which a task is lost
_CLIMBING = 2.0  # seconds in which every completed task has reached 100
_PAUSE = 60.0  # seconds for which a session is going although none of its tasks has begun
WORKER_WAIT = 8.0  # seconds in a queue after which it is said that no worker has come


class ProgressStatus(StrEnum):
    """Where a task, or all tasks of a session together, stand."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETING = "completing"
    RETRYING = "retrying"
    STALLED = "stalled"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_ended(self) -> bool:
        return self in _ENDED

    @property
    def is_failed(self) -> bool:
        return self in (ProgressStatus.ERROR, ProgressStatus.LOST)

    @property
    def is_running(self) -> bool:
        return self in _RUNNING


_ENDED = {ProgressStatus.COMPLETE, ProgressStatus.ERROR, ProgressStatus.CANCELLED, ProgressStatus.LOST}
_RUNNING = {ProgressStatus.RUNNING, ProgressStatus.COMPLETING, ProgressStatus.STALLED, ProgressStatus.RETRYING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What never changes of a session: its id, whose it is, when it was made, and its tasks with their weights."""

    id: str
    owner: Owner
    created: float
    names: Mapping[str, str]  # task id -> name, in the order of the tasks
    weights: Mapping[str, float]
    key: str = ""  # of an owner's sessions with one key only one is going at a time


def listed_under(owner: Owner) -> str:
    """The word for an owner's list of sessions, "" for nobody: a user has one list in all their browsers."""
    return f"user-{owner.user}" if owner.user else f"visitor-{owner.token}" if owner.token else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is kept of one task.

    ``current`` is None until a real figure is reported, ``total`` None while the extent is not known.  ``floor`` is the
    highest real percentage so far.  ``since`` is when the status began, ``beat`` the last sign of life of a process
    that runs it.  ``attempt`` counts the starts.  ``result`` is where to find what came of it, ``error`` the id under
    which the log has why it failed.  ``ref`` to ``is_async`` are what the runner was given.  ``notify`` is what a
    notice about its end calls it, in ``language``; "" for none.
    """

    rev: int = 0
    status: ProgressStatus = ProgressStatus.PENDING
    message: str = ""
    current: float | None = None
    total: float | None = None
    unit: str = ""
    floor: float = 0.0
    rate: Rate = NO_RATE
    since: float = 0.0
    started: float | None = None
    ended: float | None = None
    beat: float = 0.0
    attempt: int = 0
    result: str = ""
    error: str = ""
    ref: str = ""
    callback: str = ""
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    is_async: bool = False
    notify: str = ""
    language: str = ""

    def percent(self, now: float) -> float:
        """How much of it is done, from 0 to 100: real once a real figure was reported, else simulated."""
        if self.started is None and self.status is not ProgressStatus.COMPLETE:
            return 0.0
        until = now if self.ended is None else self.ended
        reached = self.floor if self.current is not None else simulated(until - (self.started or until))
        if self.status is ProgressStatus.COMPLETE:
            return climbed(reached, now - until)
        return reached

    def status_at(self, now: float) -> ProgressStatus:
        """The status with what follows from the time."""
        if self.status is ProgressStatus.COMPLETE and self.percent(now) < 100:
            return ProgressStatus.COMPLETING
        if self.status is ProgressStatus.RUNNING and now - self.beat > LEASE:
            return ProgressStatus.LOST
        if self.status is ProgressStatus.RUNNING and now - self.beat > STALLED_AFTER:
            return ProgressStatus.STALLED
        return self.status

    def is_waiting_for_worker(self, now: float) -> bool:
        return self.status is ProgressStatus.QUEUED and now - self.since > WORKER_WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A session with its rows, read in one step; ``now`` is the clock of the place where it is kept."""

    session: Session
    rows: Mapping[str, Row]
    shown: Mapping[str, str]  # what is on pages: key -> JSON text, see showing.py
    now: float

    @property
    def number(self) -> int:
        """The session's sequence number: it rises with every change of a task."""
        return sum(row.rev for row in self.rows.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a viewer sees of some tasks of a session at one time, by task id, and of them all."""

    rows: Mapping[str, Row]
    statuses: Mapping[str, ProgressStatus]
    percents: Mapping[str, int]
    status: ProgressStatus
    percent: int
    number: int

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come: all is complete, or something has failed, or was cancelled."""
        return self.status in _ENDED


def seen(kept: Kept, tasks: Iterable[str] = (), *, is_settled: bool = False) -> Seen:
    """What there is to see of a session, or of some of its ``tasks``, at ``kept.now``.

    With ``is_settled`` a completed task does not climb to 100 first.
    """
    wanted = list(tasks) or list(kept.rows)
    rows = {task: kept.rows[task] for task in wanted}
    times = {
        task: kept.now + (_CLIMBING if is_settled and row.status is ProgressStatus.COMPLETE else 0)
        for task, row in rows.items()
    }
    exact = {task: row.percent(times[task]) for task, row in rows.items()}
    statuses = {task: row.status_at(times[task]) for task, row in rows.items()}
    weights = {task: kept.session.weights.get(task, 1.0) for task in wanted}
    total = sum(weights.values())
    # The sum of many floats may miss 100 by a hair, and the whole is only as done as its parts.
    overall = sum(exact[task] * weights[task] for task in wanted) / total + 1e-9 if total else 0.0
    return Seen(
        rows=rows,
        statuses=statuses,
        percents={task: int(percent + 1e-9) for task, percent in exact.items()},
        status=_together(statuses.values()),
        percent=min(int(overall), 100),
        number=kept.number,
    )


def is_going(kept: Kept) -> bool:
    """Whether there is work on a session, or will be soon: one that was left before its end is going no more."""
    here = seen(kept, is_settled=True)
    if any(status.is_running or status is ProgressStatus.QUEUED for status in here.statuses.values()):
        return True
    last = max(kept.session.created, *(row.since for row in kept.rows.values()))
    return not here.is_ended and kept.now - last < _PAUSE


def _together(statuses: Iterable[ProgressStatus]) -> ProgressStatus:
    """One status for all: the seed's five, and cancelled."""
    all_of = set(statuses)
    if any(status.is_failed for status in all_of):
        return ProgressStatus.ERROR
    if ProgressStatus.CANCELLED in all_of:
        return ProgressStatus.CANCELLED
    if all_of == {ProgressStatus.COMPLETE}:
        return ProgressStatus.COMPLETE
    if any(status.is_running for status in all_of):
        return ProgressStatus.RUNNING
    return ProgressStatus.PENDING
