"""Changes: what may happen to a task, each as a pure function from its row and the time to its next row.

A change that makes no sense where the task stands gives None: it is dropped.  A job of the runner names its start by
``ref``: what has been started again since hears nothing of an older start.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

from htmx_live.progress.model import NO_RATE, ProgressStatus, TaskState

__all__ = [
    "Report",
    "Transition",
    "apply_report",
    "if_current_start",
    "mark_cancelled",
    "mark_completed",
    "mark_failed",
    "mark_lost",
    "mark_not_started",
    "mark_queued",
    "mark_retrying",
    "mark_started",
    "mark_waiting",
    "mark_worker_lost",
    "reopen",
]


Transition = Callable[[TaskState, float], TaskState | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a task says of itself; None leaves a value as it is.  ``advance`` comes on top of ``current``."""

    current: float | None = None
    advance: float = 0.0
    total: float | None = None
    message: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        for name in ("current", "advance", "total"):
            value = getattr(self, name)
            if value is not None and (not isfinite(value) or value < 0):
                raise ValueError(f"{name}={value!r}: expected a number from 0 on. Leave it out where it is not known.")

    @property
    def has_figure(self) -> bool:
        return self.current is not None or self.advance > 0

    def merge(self, later: "Report") -> "Report":
        """Both in one, ``later`` coming after this."""
        return Report(
            current=self.current if later.current is None else later.current,
            advance=later.advance if later.current is not None else self.advance + later.advance,
            total=self.total if later.total is None else later.total,
            message=self.message if later.message is None else later.message,
            unit=self.unit if later.unit is None else later.unit,
        )


def mark_queued(ref: str) -> Transition:
    """A job was handed to the runner, for the first time or again; ``ref`` is that start's."""

    def transition(state: TaskState, now: float) -> TaskState | None:
        if state.status not in (ProgressStatus.PENDING, ProgressStatus.QUEUED) and not state.status.is_ended:
            return None
        return replace(_reset(state), status=ProgressStatus.QUEUED, ref=ref, attempt=state.attempt + 1, since=now)

    return transition


def mark_started(state: TaskState, now: float) -> TaskState | None:
    """It begins to run.  A second start of what runs already is only a sign of life."""
    if state.status is ProgressStatus.RUNNING:
        return replace(state, beat=now)
    if state.status.is_ended and state.status is not ProgressStatus.LOST:
        return None
    fresh = _reset(state) if state.status in (ProgressStatus.LOST, ProgressStatus.RETRYING) else state
    return replace(fresh, status=ProgressStatus.RUNNING, started=now, since=now, beat=now)


def apply_report(report: Report) -> Transition:
    """A running task's own figures; the first of them starts it.  Percentages of real figures never fall."""

    def transition(state: TaskState, now: float) -> TaskState | None:
        if state.status.is_ended and state.status is not ProgressStatus.LOST:
            return None
        return _merge_report(report, _mark_running(state, now), now)

    return transition


def mark_completed(message: str | None, report: Report, *, result: str = "") -> Transition:
    """It has ended well; ``report`` is what it said last."""

    def transition(state: TaskState, now: float) -> TaskState | None:
        if state.status.is_ended and state.status is not ProgressStatus.LOST:
            return None
        last = _merge_report(report, _mark_running(state, now), now)
        if last.total is not None and last.current is not None:
            last = replace(last, current=max(last.current, last.total))
        # A real bar that is full does not climb; one that ran for no time at all has nothing to climb from.
        full = last.total is not None and last.current is not None
        return replace(
            last,
            status=ProgressStatus.COMPLETE,
            floor=100.0 if full else last.floor,
            ended=_end_time(last.started, now),
            since=now,
            message=last.message if message is None else message,
            result=result,
        )

    return transition


def mark_failed(message: str, report: Report, *, error: str = "") -> Transition:
    """It has ended badly; the percentage stays.  ``error`` is the id under which the log has why."""
    return _mark_ended(ProgressStatus.ERROR, message, report, error=error)


def mark_cancelled(state: TaskState, now: float) -> TaskState | None:
    """Its owner wants it no more."""
    if state.status.is_ended:
        return None
    return replace(state, status=ProgressStatus.CANCELLED, ended=_end_time(state.started, now), since=now)


def if_current_start(ref: str, transition: Transition) -> Transition:
    """``transition``, if this is still the start that counts."""
    return lambda row, now: transition(row, now) if row.ref == ref else None


def mark_lost(state: TaskState, now: float) -> TaskState | None:
    """It was found without a sign of life, if it still is."""
    if state.status is not ProgressStatus.RUNNING or state.status_at(now) is not ProgressStatus.LOST:
        return None
    return replace(state, status=ProgressStatus.LOST, ended=_end_time(state.started, now), since=now)


def mark_worker_lost(state: TaskState, now: float) -> TaskState | None:
    """The process that ran it is known to be dead."""
    if state.status.is_ended:
        return None
    return replace(state, status=ProgressStatus.LOST, ended=_end_time(state.started, now), since=now)


def mark_not_started(state: TaskState, now: float) -> TaskState | None:
    """No worker has begun it for too long."""
    return (
        replace(state, status=ProgressStatus.LOST, ended=now, since=now)
        if state.status is ProgressStatus.QUEUED
        else None
    )


def mark_waiting(state: TaskState, now: float) -> TaskState | None:
    """A job that the runner knows nothing of was put into a queue, unless it has begun already."""
    return replace(state, status=ProgressStatus.QUEUED, since=now) if state.status is ProgressStatus.PENDING else None


def reopen(state: TaskState, now: float) -> TaskState | None:
    """It was cancelled before anybody began it, and what comes before it is started again: it waits once more."""
    if state.status is not ProgressStatus.CANCELLED or state.started is not None or state.callback:
        return None
    return replace(_reset(state), status=ProgressStatus.PENDING, since=now)


def mark_retrying(state: TaskState, now: float) -> TaskState | None:
    """It has failed, which may have been said already, and will be started once more by whoever runs it."""
    if state.status.is_ended and not state.status.is_failed:
        return None
    return replace(state, status=ProgressStatus.RETRYING, ended=None, since=now, error="")


def _mark_ended(status: ProgressStatus, message: str, report: Report, *, error: str) -> Transition:
    def transition(state: TaskState, now: float) -> TaskState | None:
        if state.status.is_ended and state.status is not ProgressStatus.LOST:
            return None
        last = _merge_report(report, state if state.started is None else _mark_running(state, now), now)
        return replace(last, status=status, ended=_end_time(last.started, now), since=now, message=message, error=error)

    return transition


def _reset(state: TaskState) -> TaskState:
    """As before its first start."""
    before = replace(state, started=None, ended=None, current=None, total=None, floor=0.0, rate=NO_RATE, message="")
    return replace(before, result="", error="")


def _mark_running(state: TaskState, now: float) -> TaskState:
    """Running, and seen just now; also what was taken for lost."""
    if state.started is None:
        return replace(state, status=ProgressStatus.RUNNING, started=now, since=now, beat=now, ended=None)
    return replace(state, status=ProgressStatus.RUNNING, beat=now, ended=None)


def _merge_report(report: Report, state: TaskState, now: float) -> TaskState:
    state = replace(
        state,
        total=state.total if report.total is None else report.total,
        message=state.message if report.message is None else report.message,
        unit=state.unit if report.unit is None else report.unit,
    )
    if not report.has_figure and (state.current is None and state.total is None):
        return state
    before = state.current or 0.0
    current = max(before, report.current or 0.0) + report.advance
    rate = (state.rate if state.rate.at is not None else NO_RATE.with_sample(0.0, state.started or now)).with_sample(
        current, now
    )
    if state.total is not None:
        rate = rate.with_prediction(state.total - current, now)
    share = 100.0 * current / state.total if state.total else 0.0
    return replace(state, current=current, rate=rate, floor=max(state.floor, min(share, 100.0)))


def _end_time(started: float | None, now: float) -> float:
    return now if started is None else max(started, now)
