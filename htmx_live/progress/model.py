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

Easing: how far a task whose extent nobody knows is shown to be.

From the start, every 0.15 s, ``p = min(p + max(0.5 * ((85 - p) / 85) ** 3, 0.03), 85)``: quick at first, never above 85
while it runs.  When it has ended the bar climbs by 3 points every 0.03 s.  Both are pure functions of times, so that
every process shows the same without writing anything.

Rate: how fast a task goes, and when it will have ended.

The rate is an average in which what happened ``WINDOW`` seconds ago weighs a third of what happens now.  The predicted
end stays where it is as long as the newest estimate is near it, so that the time left counts down instead of jumping.
Time is an argument, in seconds on any one clock.

Source: exponential moving average of irregular samples, weight ``1 - exp(-dt / WINDOW)``.

Encoding: rows and sessions as JSON texts, for every place outside of this process.

Unknown keys are left out when read: during a deploy two versions of the package share what is kept.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from math import exp
from typing import Any

from htmx_live.core.records import Owner

__all__ = [
    "CEILING",
    "LEASE",
    "NO_RATE",
    "STALLED_AFTER",
    "WINDOW",
    "WORKER_WAIT",
    "Kept",
    "ProgressStatus",
    "Rate",
    "Row",
    "Seen",
    "Session",
    "climbed",
    "decode_row",
    "decode_session",
    "encode_row",
    "encode_session",
    "is_going",
    "listed_under",
    "seen",
    "simulated",
]


CEILING = 85.0

_STEP = 0.15  # seconds
_CLIMB = 3.0  # points
_CLIMB_STEP = 0.03  # seconds


def simulated(elapsed: float) -> float:
    """Percent after ``elapsed`` seconds of running; 0 for a time before the start."""
    curve = _curve()
    step = min(max(elapsed, 0.0) / _STEP, len(curve) - 1)
    return curve[int(step + 1e-9)]


def climbed(percent: float, since_end: float) -> float:
    """Percent ``since_end`` seconds after a task that stood at ``percent`` was completed."""
    return min(percent + _CLIMB * int(max(since_end, 0.0) / _CLIMB_STEP + 1e-9), 100.0)


@cache
def _curve() -> tuple[float, ...]:
    """Percent after 0, 1, 2, … steps, until the ceiling."""
    points = [0.0]
    while points[-1] < CEILING:
        last = points[-1]
        points.append(min(last + max(0.5 * ((CEILING - last) / CEILING) ** 3, 0.03), CEILING))
    return tuple(points)


WINDOW = 30.0  # seconds

_NEAR = 0.1  # of the time left: an estimate that differs by less does not move the end
_NEAR_SECONDS = 2.0
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True)
class Rate:
    """Units per second; ``weight`` is how much of the window has been seen, from 0 to 1.

    ``at`` and ``current`` are the last sample, ``ends`` the predicted end; both times are None before there is one.
    """

    value: float = 0.0
    weight: float = 0.0
    at: float | None = None
    current: float = 0.0
    ends: float | None = None

    @property
    def per_second(self) -> float | None:
        """The average, None before two samples were seen."""
        return self.value / self.weight if self.weight > 0 else None

    def sampled(self, current: float, now: float) -> "Rate":
        """With one more sample.  A clock that went back begins a new interval and adds nothing."""
        if self.at is None or now < self.at:
            return replace(self, at=now, current=current)
        if now - self.at < _SHORTEST:  # what is done in no time is counted with the next interval
            return self
        share = 1 - exp(-(now - self.at) / WINDOW)
        speed = max(current - self.current, 0.0) / (now - self.at)
        return replace(
            self,
            value=self.value + share * (speed - self.value),
            weight=self.weight + share * (1 - self.weight),
            at=now,
            current=current,
        )

    def predicted(self, left: float, now: float) -> "Rate":
        """With the predicted end for ``left`` units that are still to do."""
        speed = self.per_second
        if not speed:
            return replace(self, ends=None)
        ends = now + max(left, 0.0) / speed
        near = max(_NEAR_SECONDS, _NEAR * (ends - now))
        if self.ends is not None and self.ends > now and abs(ends - self.ends) <= near:
            return self
        return replace(self, ends=ends)


NO_RATE = Rate()


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


def encode_row(row: Row) -> str:
    return json.dumps(asdict(row), separators=(",", ":"))


def decode_row(text: str) -> Row:
    given = _known(Row, json.loads(text))
    given["status"] = ProgressStatus(given["status"])
    given["rate"] = Rate(**_known(Rate, given["rate"]))
    return Row(**given)


def encode_session(session: Session) -> str:
    return json.dumps(asdict(session), separators=(",", ":"))


def decode_session(text: str) -> Session:
    given = _known(Session, json.loads(text))
    given["owner"] = Owner(**given["owner"])
    return Session(**given)


def _known(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in given.items() if name in names}
