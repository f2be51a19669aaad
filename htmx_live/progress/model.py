"""Values: what is kept of a session and its tasks, and what is shown of them at a time.

A task is one record (``TaskState``), changed by itself; its ``rev`` rises with each change, and the sum of the revs is
the session's sequence number.  What a viewer sees is a pure function of the kept values and the time::

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

The rate is an average in which what happened ``RATE_WINDOW`` seconds ago weighs a third of what happens now.  The
predicted end stays where it is as long as the newest estimate is near it, so that the time left counts down instead of
jumping.  Time is an argument, in seconds on any one clock.

Source: exponential moving average of irregular samples, weight ``1 - exp(-dt / RATE_WINDOW)``.

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
    "LOST_AFTER",
    "NO_RATE",
    "NO_WORKER_AFTER",
    "RATE_WINDOW",
    "SIMULATED_MAX",
    "STALLED_AFTER",
    "ProgressStatus",
    "Rate",
    "SessionHeader",
    "SessionSnapshot",
    "SessionSummary",
    "TaskState",
    "completion_percent",
    "decode_header",
    "decode_task_state",
    "encode_header",
    "encode_task_state",
    "is_active",
    "owner_key",
    "simulated_percent",
    "summarize",
]


SIMULATED_MAX = 85.0

_SIMULATION_STEP = 0.15  # seconds
_COMPLETION_POINTS = 3.0  # points
_COMPLETION_STEP = 0.03  # seconds


def simulated_percent(elapsed: float) -> float:
    """Percent after ``elapsed`` seconds of running; 0 for a time before the start."""
    curve = _simulation_curve()
    step = min(max(elapsed, 0.0) / _SIMULATION_STEP, len(curve) - 1)
    return curve[int(step + 1e-9)]


def completion_percent(percent: float, since_end: float) -> float:
    """Percent ``since_end`` seconds after a task that stood at ``percent`` was completed."""
    return min(percent + _COMPLETION_POINTS * int(max(since_end, 0.0) / _COMPLETION_STEP + 1e-9), 100.0)


@cache
def _simulation_curve() -> tuple[float, ...]:
    """Percent after 0, 1, 2, … steps, until the ceiling."""
    points = [0.0]
    while points[-1] < SIMULATED_MAX:
        last = points[-1]
        points.append(min(last + max(0.5 * ((SIMULATED_MAX - last) / SIMULATED_MAX) ** 3, 0.03), SIMULATED_MAX))
    return tuple(points)


RATE_WINDOW = 30.0  # seconds

_TOLERANCE = 0.1  # of the time left: an estimate that differs by less does not move the end
_TOLERANCE_SECONDS = 2.0
_MIN_INTERVAL = 0.001


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

    def with_sample(self, current: float, now: float) -> "Rate":
        """With one more sample.  A clock that went back begins a new interval and adds nothing."""
        if self.at is None or now < self.at:
            return replace(self, at=now, current=current)
        if now - self.at < _MIN_INTERVAL:  # what is done in no time is counted with the next interval
            return self
        share = 1 - exp(-(now - self.at) / RATE_WINDOW)
        speed = max(current - self.current, 0.0) / (now - self.at)
        return replace(
            self,
            value=self.value + share * (speed - self.value),
            weight=self.weight + share * (1 - self.weight),
            at=now,
            current=current,
        )

    def with_prediction(self, left: float, now: float) -> "Rate":
        """With the predicted end for ``left`` units that are still to do."""
        speed = self.per_second
        if not speed:
            return replace(self, ends=None)
        ends = now + max(left, 0.0) / speed
        tolerance = max(_TOLERANCE_SECONDS, _TOLERANCE * (ends - now))
        if self.ends is not None and self.ends > now and abs(ends - self.ends) <= tolerance:
            return self
        return replace(self, ends=ends)


NO_RATE = Rate()


STALLED_AFTER = 10.0  # seconds without a sign of life
LOST_AFTER = 12.0  # seconds without a sign of life after which a task is lost
_COMPLETION_TIME = 2.0  # seconds in which every completed task has reached 100
_START_GRACE = 60.0  # seconds for which a session is going although none of its tasks has begun
NO_WORKER_AFTER = 8.0  # seconds in a queue after which it is said that no worker has come


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
        return self in _ENDED_STATUSES

    @property
    def is_failed(self) -> bool:
        return self in (ProgressStatus.ERROR, ProgressStatus.LOST)

    @property
    def is_running(self) -> bool:
        return self in _RUNNING_STATUSES


_ENDED_STATUSES = {ProgressStatus.COMPLETE, ProgressStatus.ERROR, ProgressStatus.CANCELLED, ProgressStatus.LOST}
_RUNNING_STATUSES = {ProgressStatus.RUNNING, ProgressStatus.COMPLETING, ProgressStatus.STALLED, ProgressStatus.RETRYING}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHeader:
    """What never changes of a session: its id, whose it is, when it was made, and its tasks with their weights."""

    id: str
    owner: Owner
    created: float
    names: Mapping[str, str]  # task id -> name, in the order of the tasks
    weights: Mapping[str, float]
    key: str = ""  # of an owner's sessions with one key only one is going at a time


def owner_key(owner: Owner) -> str:
    """The word for an owner's list of sessions, "" for nobody: a user has one list in all their browsers."""
    return f"user-{owner.user}" if owner.user else f"visitor-{owner.token}" if owner.token else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
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
        reached = self.floor if self.current is not None else simulated_percent(until - (self.started or until))
        if self.status is ProgressStatus.COMPLETE:
            return completion_percent(reached, now - until)
        return reached

    def status_at(self, now: float) -> ProgressStatus:
        """The status with what follows from the time."""
        if self.status is ProgressStatus.COMPLETE and self.percent(now) < 100:
            return ProgressStatus.COMPLETING
        if self.status is ProgressStatus.RUNNING and now - self.beat > LOST_AFTER:
            return ProgressStatus.LOST
        if self.status is ProgressStatus.RUNNING and now - self.beat > STALLED_AFTER:
            return ProgressStatus.STALLED
        return self.status

    def is_waiting_for_worker(self, now: float) -> bool:
        return self.status is ProgressStatus.QUEUED and now - self.since > NO_WORKER_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSnapshot:
    """A session with its rows, read in one step; ``now`` is the clock of the place where it is kept."""

    header: SessionHeader
    states: Mapping[str, TaskState]
    cards: Mapping[str, str]  # what is on pages: key -> JSON text, see showing.py
    now: float

    @property
    def number(self) -> int:
        """The session's sequence number: it rises with every change of a task."""
        return sum(state.rev for state in self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """What a viewer sees of some tasks of a session at one time, by task id, and of them all."""

    states: Mapping[str, TaskState]
    statuses: Mapping[str, ProgressStatus]
    percents: Mapping[str, int]
    status: ProgressStatus
    percent: int
    number: int

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come: all is complete, or something has failed, or was cancelled."""
        return self.status in _ENDED_STATUSES


def summarize(snapshot: SessionSnapshot, task_ids: Iterable[str] = (), *, is_settled: bool = False) -> SessionSummary:
    """What there is to see of a session, or of some of its ``tasks``, at ``kept.now``.

    With ``is_settled`` a completed task does not climb to 100 first.
    """
    wanted = list(task_ids) or list(snapshot.states)
    states = {task: snapshot.states[task] for task in wanted}
    times = {
        task: snapshot.now + (_COMPLETION_TIME if is_settled and state.status is ProgressStatus.COMPLETE else 0)
        for task, state in states.items()
    }
    exact = {task: state.percent(times[task]) for task, state in states.items()}
    statuses = {task: state.status_at(times[task]) for task, state in states.items()}
    weights = {task: snapshot.header.weights.get(task, 1.0) for task in wanted}
    total = sum(weights.values())
    # The sum of many floats may miss 100 by a hair, and the whole is only as done as its parts.
    overall = sum(exact[task] * weights[task] for task in wanted) / total + 1e-9 if total else 0.0
    return SessionSummary(
        states=states,
        statuses=statuses,
        percents={task: int(percent + 1e-9) for task, percent in exact.items()},
        status=_combine_statuses(statuses.values()),
        percent=min(int(overall), 100),
        number=snapshot.number,
    )


def is_active(snapshot: SessionSnapshot) -> bool:
    """Whether there is work on a session, or will be soon: one that was left before its end is going no more."""
    summary = summarize(snapshot, is_settled=True)
    if any(status.is_running or status is ProgressStatus.QUEUED for status in summary.statuses.values()):
        return True
    last = max(snapshot.header.created, *(state.since for state in snapshot.states.values()))
    return not summary.is_ended and snapshot.now - last < _START_GRACE


def _combine_statuses(statuses: Iterable[ProgressStatus]) -> ProgressStatus:
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


def encode_task_state(state: TaskState) -> str:
    return json.dumps(asdict(state), separators=(",", ":"))


def decode_task_state(text: str) -> TaskState:
    values = _known_fields(TaskState, json.loads(text))
    values["status"] = ProgressStatus(values["status"])
    values["rate"] = Rate(**_known_fields(Rate, values["rate"]))
    return TaskState(**values)


def encode_header(header: SessionHeader) -> str:
    return json.dumps(asdict(header), separators=(",", ":"))


def decode_header(text: str) -> SessionHeader:
    values = _known_fields(SessionHeader, json.loads(text))
    values["owner"] = Owner(**values["owner"])
    return SessionHeader(**values)


def _known_fields(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(cls)}
    return {name: value for name, value in values.items() if name in names}
