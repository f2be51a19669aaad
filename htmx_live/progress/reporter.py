"""Running: the tasks that run in this process, what they have said and not yet written, and their signs of life.

    report ──▶ pending ──▶ written, at most every ``INTERVAL`` seconds: the first at once, the last always
                  │
    end ──────────┴──────▶ written with the end, in one swap ──▶ forgotten here
                                   │ the store is away
                                   └──▶ tried again with every beat, for ``PATIENCE`` seconds

While something runs here, a beat every ``BEAT`` seconds says so, learns what was cancelled elsewhere, and draws cards.

Deadlines: by when this process says again that its tasks of a session live; after that somebody looks after them.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from math import inf

from htmx_live.core.concurrency import after_fork
from htmx_live.core.exceptions import Cancelled, StoreUnavailable
from htmx_live.core.scheduler import Timer
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.progress.model import STALLED_AFTER, ProgressStatus, Row
from htmx_live.progress.publisher import changed, in_background, moved, rest_no_more
from htmx_live.progress.store import apply, keeping
from htmx_live.progress.transitions import Change, Report, of_start, reported
from htmx_live.runtime.services import parts

__all__ = [
    "BEAT",
    "INTERVAL",
    "Gauge",
    "beat",
    "beginnings",
    "clear_deadline",
    "end",
    "forget",
    "forget_all",
    "gauge",
    "hush",
    "set_deadline",
]


_holder = random_id()  # this process


def set_deadline(session: str) -> None:
    name = _name(session)
    note = json.dumps({"kind": "progress", "name": name, "session": session})
    parts().store.set_deadline(name, note, within=STALLED_AFTER)


def clear_deadline(session: str) -> None:
    parts().store.clear_deadline(_name(session))


def _name(session: str) -> str:
    return f"progress:{session}:{_holder}"


@after_fork
def _after_fork() -> None:
    global _holder
    _holder = random_id()


__all__ += ["note_cancelled", "running"]

logger = logging.getLogger("htmx_live.progress")

INTERVAL = 0.1  # seconds between two writes of one task
BEAT = 2.0
PATIENCE = 300.0  # seconds for which an end is kept that could not be written

_lock = threading.RLock()
_gauges: dict[tuple[str, str], "Gauge"] = {}
beginnings: list[Callable[[str, str], None]] = []  # told of each task that begins to run here
_beats: Timer | None = None  # the timer on which the next beat is due


class Gauge:
    """One task that runs in this process.  ``ref`` names the start that the runner made, "" for any other."""

    def __init__(self, session: str, task: str, *, ref: str | None = None) -> None:
        self.session, self.task, self.ref = session, task, ref
        self.is_cancelled = False
        self._timer = parts().timer
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._next = -inf
        self._is_scheduled = False
        self._is_dirty = False
        self._current: float | None = None
        self._advance = 0.0
        self._total: float | None = None
        self._message: str | None = None
        self._unit: str | None = None

    def report(
        self,
        *,
        current: float | None = None,
        advance: float = 0,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Take it in.  ``Cancelled`` when the task is not wanted any more, ``ValueError`` for no figure."""
        if self.is_cancelled:
            raise Cancelled
        if not (0 <= advance < inf and (current is None or 0 <= current < inf) and (total is None or 0 <= total < inf)):
            Report(current=current, advance=advance, total=total)  # its error says which
        with self._lock:
            self._is_dirty = True
            if current is not None:
                self._current, self._advance = current, 0.0
            self._advance += advance
            if total is not None:
                self._total = total
            if message is not None:
                self._message = message
            if unit is not None:
                self._unit = unit
            if self._is_scheduled:
                return
            now = self._timer()
            if now < self._next:
                self._is_scheduled = True
                self._timer.at(self._next, lambda: in_background(self._write_last))
                return
            self._next = now + INTERVAL
        self.write()
        if self.is_cancelled:
            raise Cancelled

    def take(self) -> Report:
        """What was said and not written; it is the caller's to write."""
        with self._lock:
            report = self._said()
            self._is_dirty, self._advance = False, 0.0
            self._current = self._total = self._message = self._unit = None
            return report

    def write(self) -> None:
        """Write what was said.  A store that is away is no reason for the work to stop: it is said later."""
        with self._writing:
            if not self._is_dirty:
                return
            report = self.take()
            try:
                row = self.change(reported(report))
            except StoreUnavailable as error:
                self.put_back(report)
                message = "The progress of %s could not be written and is kept"
                log_unavailable(logger, error, "writes of progress", message, self.task)
                return
        self.heed(row)
        changed(self.session)

    def change(self, change: Change) -> Row | None:
        return apply(self.session, self.task, change if self.ref is None else of_start(self.ref, change))

    def heed(self, row: Row | None) -> None:
        """Learn from the row what others have done to the task."""
        if row is None:
            forget(self)
        elif row.status is ProgressStatus.CANCELLED or (self.ref is not None and row.ref != self.ref):
            self.is_cancelled = True
            forget(self)
        elif row.status.is_ended:
            forget(self)

    def put_back(self, report: Report) -> None:
        with self._lock:
            both = report.then(self._said())
            self._current, self._advance, self._total = both.current, both.advance, both.total
            self._message, self._unit, self._is_dirty = both.message, both.unit, True

    def _write_last(self) -> None:
        with self._lock:
            self._is_scheduled = False
            self._next = self._timer() + INTERVAL
        self.write()

    def _said(self) -> Report:
        return Report(
            current=self._current, advance=self._advance, total=self._total, message=self._message, unit=self._unit
        )


def gauge(session: str, task: str, *, ref: str | None = None) -> Gauge:
    """The task's gauge; from now on this process says that the task lives."""
    if (found := _gauges.get((session, task))) and (ref is None or found.ref == ref):
        return found
    with _lock:
        found = _gauges.get((session, task))
        if found is None or (ref is not None and found.ref != ref):
            found = _gauges[session, task] = Gauge(session, task, ref=ref)
            _begin()
    for told in beginnings:
        _quietly(partial(told, session, task))
    _quietly(lambda: set_deadline(session))  # before the first beat: who is killed at once is missed too
    return found


def running() -> list[tuple[str, str]]:
    """Sessions and tasks that run in this process."""
    return list(_gauges)


def forget(known: Gauge) -> None:
    """The task runs here no more."""
    with _lock:
        if _gauges.get((known.session, known.task)) is known:
            del _gauges[known.session, known.task]
        is_last = not any(session == known.session for session, _ in _gauges)
    if is_last:
        _quietly(lambda: clear_deadline(known.session))


def hush(session: str, task: str) -> None:
    """What the task has said and not written, it has not said."""
    if known := _gauges.get((session, task)):
        with known._writing:
            known.take()


def note_cancelled(session: str, tasks: Iterable[str]) -> None:
    """Tasks were cancelled by this process: those that run in it need not wait for the next beat."""
    for task in tasks:
        known = _gauges.get((session, task))
        if known is not None:
            known.is_cancelled = True
            forget(known)


def end(session: str, task: str, change: Callable[[Report], Change], *, ref: str | None = None) -> None:
    """End a task: what it said last and its end are one change."""
    known = gauge(session, task, ref=ref)
    ending = _Ending(known, change)
    if not ending.is_written():
        _endings.append(ending)


class _Ending:
    """The end of a task, until it is written."""

    def __init__(self, known: Gauge, change: Callable[[Report], Change]) -> None:
        self._gauge, self._change = known, change
        self._until = parts().timer() + PATIENCE

    def is_written(self) -> bool:
        """Write it; also true when that need not be tried any more."""
        known = self._gauge
        with known._writing:
            report = known.take()
            try:
                known.heed(known.change(self._change(report)))
            except StoreUnavailable as error:
                known.put_back(report)
                message = "The end of %s could not be written and will be tried again"
                log_unavailable(logger, error, "writes of progress", message, known.task)
                return parts().timer() > self._until
        forget(known)
        changed(known.session, at_once=True)
        return True


_endings: list[_Ending] = []


def beat() -> None:
    """Say that the tasks of this process live; never raises."""
    for ending in list(_endings):
        if ending.is_written():
            _endings.remove(ending)
    tasks: dict[str, list[str]] = {}
    for session, task in running():
        tasks.setdefault(session, []).append(task)
    for session, those in tasks.items():
        _quietly(partial(_beat_for, session, those))


def _beat_for(session: str, tasks: list[str]) -> None:
    alive = keeping().beat(session, tasks)
    set_deadline(session)
    for task in set(tasks) - alive:
        known = _gauges.get((session, task))
        found = keeping().row(session, task)
        if known is None or (found is not None and not found[0].status.is_ended):
            continue  # ended here meanwhile, or not begun
        if found is not None and found[0].status is ProgressStatus.LOST:
            known.change(reported(Report()))  # here it is
            continue
        known.heed(None if found is None else found[0])
    moved(session, within=0.9 * BEAT)


def _begin() -> None:
    """Beat from now on, while there is something to beat for."""
    global _beats
    timer = parts().timer
    if _beats is not timer:
        _beats = timer
        timer.at(timer() + BEAT, lambda: in_background(_round))


def _round() -> None:
    global _beats
    beat()
    with _lock:
        _beats = None
        if _gauges or _endings:
            _begin()


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except StoreUnavailable as error:
        message = "Progress could not be kept alive and will be tried again"
        log_unavailable(logger, error, "heartbeats of progress", message)
    except Exception:  # a boundary: one session must not keep the others from living
        logger.exception("A beat of progress failed")


@after_fork
def _running_after_fork() -> None:
    """What runs in the parent is the parent's."""
    global _lock
    _lock = threading.RLock()
    forget_all()


def forget_all() -> None:
    """Nothing runs here; also for tests, whose stores go with them."""
    global _beats
    _gauges.clear()
    _endings.clear()
    _beats = None
    rest_no_more()
