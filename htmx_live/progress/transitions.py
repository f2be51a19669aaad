"""Changes: what may happen to a task, each as a pure function from its row and the time to its next row.

A change that makes no sense where the task stands gives None: it is dropped.  A job of the runner names its start by
``ref``: what has been started again since hears nothing of an older start.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

from htmx_live.progress.model import NO_RATE, ProgressStatus, Row

__all__ = [
    "Change",
    "Report",
    "cancelled",
    "completed",
    "failed",
    "given_up",
    "killed",
    "lost",
    "of_start",
    "queued",
    "reopened",
    "reported",
    "retrying",
    "started",
    "waiting",
]


Change = Callable[[Row, float], Row | None]


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

    def then(self, later: "Report") -> "Report":
        """Both in one, ``later`` coming after this."""
        return Report(
            current=self.current if later.current is None else later.current,
            advance=later.advance if later.current is not None else self.advance + later.advance,
            total=self.total if later.total is None else later.total,
            message=self.message if later.message is None else later.message,
            unit=self.unit if later.unit is None else later.unit,
        )


def queued(ref: str) -> Change:
    """A job was handed to the runner, for the first time or again; ``ref`` is that start's."""

    def change(row: Row, now: float) -> Row | None:
        if row.status not in (ProgressStatus.PENDING, ProgressStatus.QUEUED) and not row.status.is_ended:
            return None
        return replace(_anew(row), status=ProgressStatus.QUEUED, ref=ref, attempt=row.attempt + 1, since=now)

    return change


def started(row: Row, now: float) -> Row | None:
    """It begins to run.  A second start of what runs already is only a sign of life."""
    if row.status is ProgressStatus.RUNNING:
        return replace(row, beat=now)
    if row.status.is_ended and row.status is not ProgressStatus.LOST:
        return None
    fresh = _anew(row) if row.status in (ProgressStatus.LOST, ProgressStatus.RETRYING) else row
    return replace(fresh, status=ProgressStatus.RUNNING, started=now, since=now, beat=now)


def reported(report: Report) -> Change:
    """A running task's own figures; the first of them starts it.  Percentages of real figures never fall."""

    def change(row: Row, now: float) -> Row | None:
        if row.status.is_ended and row.status is not ProgressStatus.LOST:
            return None
        return _with(report, _alive(row, now), now)

    return change


def completed(message: str | None, report: Report, *, result: str = "") -> Change:
    """It has ended well; ``report`` is what it said last."""

    def change(row: Row, now: float) -> Row | None:
        if row.status.is_ended and row.status is not ProgressStatus.LOST:
            return None
        last = _with(report, _alive(row, now), now)
        if last.total is not None and last.current is not None:
            last = replace(last, current=max(last.current, last.total))
        # A real bar that is full does not climb; one that ran for no time at all has nothing to climb from.
        full = last.total is not None and last.current is not None
        return replace(
            last,
            status=ProgressStatus.COMPLETE,
            floor=100.0 if full else last.floor,
            ended=_not_before(last.started, now),
            since=now,
            message=last.message if message is None else message,
            result=result,
        )

    return change


def failed(message: str, report: Report, *, error: str = "") -> Change:
    """It has ended badly; the percentage stays.  ``error`` is the id under which the log has why."""
    return _ended(ProgressStatus.ERROR, message, report, error=error)


def cancelled(row: Row, now: float) -> Row | None:
    """Its owner wants it no more."""
    if row.status.is_ended:
        return None
    return replace(row, status=ProgressStatus.CANCELLED, ended=_not_before(row.started, now), since=now)


def of_start(ref: str, change: Change) -> Change:
    """``change``, if this is still the start that counts."""
    return lambda row, now: change(row, now) if row.ref == ref else None


def lost(row: Row, now: float) -> Row | None:
    """It was found without a sign of life, if it still is."""
    if row.status is not ProgressStatus.RUNNING or row.status_at(now) is not ProgressStatus.LOST:
        return None
    return replace(row, status=ProgressStatus.LOST, ended=_not_before(row.started, now), since=now)


def killed(row: Row, now: float) -> Row | None:
    """The process that ran it is known to be dead."""
    if row.status.is_ended:
        return None
    return replace(row, status=ProgressStatus.LOST, ended=_not_before(row.started, now), since=now)


def given_up(row: Row, now: float) -> Row | None:
    """No worker has begun it for too long."""
    return (
        replace(row, status=ProgressStatus.LOST, ended=now, since=now) if row.status is ProgressStatus.QUEUED else None
    )


def waiting(row: Row, now: float) -> Row | None:
    """A job that the runner knows nothing of was put into a queue, unless it has begun already."""
    return replace(row, status=ProgressStatus.QUEUED, since=now) if row.status is ProgressStatus.PENDING else None


def reopened(row: Row, now: float) -> Row | None:
    """It was cancelled before anybody began it, and what comes before it is started again: it waits once more."""
    if row.status is not ProgressStatus.CANCELLED or row.started is not None or row.callback:
        return None
    return replace(_anew(row), status=ProgressStatus.PENDING, since=now)


def retrying(row: Row, now: float) -> Row | None:
    """It has failed, which may have been said already, and will be started once more by whoever runs it."""
    if row.status.is_ended and not row.status.is_failed:
        return None
    return replace(row, status=ProgressStatus.RETRYING, ended=None, since=now, error="")


def _ended(status: ProgressStatus, message: str, report: Report, *, error: str) -> Change:
    def change(row: Row, now: float) -> Row | None:
        if row.status.is_ended and row.status is not ProgressStatus.LOST:
            return None
        last = _with(report, row if row.started is None else _alive(row, now), now)
        return replace(
            last, status=status, ended=_not_before(last.started, now), since=now, message=message, error=error
        )

    return change


def _anew(row: Row) -> Row:
    """As before its first start."""
    before = replace(row, started=None, ended=None, current=None, total=None, floor=0.0, rate=NO_RATE, message="")
    return replace(before, result="", error="")


def _alive(row: Row, now: float) -> Row:
    """Running, and seen just now; also what was taken for lost."""
    if row.started is None:
        return replace(row, status=ProgressStatus.RUNNING, started=now, since=now, beat=now, ended=None)
    return replace(row, status=ProgressStatus.RUNNING, beat=now, ended=None)


def _with(report: Report, row: Row, now: float) -> Row:
    row = replace(
        row,
        total=row.total if report.total is None else report.total,
        message=row.message if report.message is None else report.message,
        unit=row.unit if report.unit is None else report.unit,
    )
    if not report.has_figure and (row.current is None and row.total is None):
        return row
    before = row.current or 0.0
    current = max(before, report.current or 0.0) + report.advance
    rate = (row.rate if row.rate.at is not None else NO_RATE.sampled(0.0, row.started or now)).sampled(current, now)
    if row.total is not None:
        rate = rate.predicted(row.total - current, now)
    share = 100.0 * current / row.total if row.total else 0.0
    return replace(row, current=current, rate=rate, floor=max(row.floor, min(share, 100.0)))


def _not_before(started: float | None, now: float) -> float:
    return now if started is None else max(started, now)
