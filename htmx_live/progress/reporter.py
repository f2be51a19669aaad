"""Running: the tasks that run in this process, what they have said and not yet written, and their signs of life.

    report ──▶ pending ──▶ written, at most every ``REPORT_INTERVAL`` seconds: the first at once, the last always
                  │
    end ──────────┴──────▶ written with the end, in one swap ──▶ forgotten here
                                   │ the store is away
                                   └──▶ tried again with every beat, for ``FINISH_RETRY_TIMEOUT`` seconds

While something runs here, a beat every ``HEARTBEAT_INTERVAL`` seconds says so, learns what was cancelled
elsewhere, and draws cards.

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
from htmx_live.progress.model import STALLED_AFTER, ProgressStatus, TaskState
from htmx_live.progress.publisher import refresh, reset_publisher, run_in_background, schedule_publish
from htmx_live.progress.store import progress_store, update_task
from htmx_live.progress.transitions import Report, Transition, apply_report, if_current_start
from htmx_live.runtime.services import services

__all__ = [
    "HEARTBEAT_INTERVAL",
    "REPORT_INTERVAL",
    "TaskReporter",
    "clear_heartbeat_deadline",
    "discard_pending",
    "finish_task",
    "get_reporter",
    "remove_reporter",
    "reset_reporters",
    "send_heartbeats",
    "set_heartbeat_deadline",
    "task_started_receivers",
]


_process_id = random_id()  # this process


def set_heartbeat_deadline(session_id: str) -> None:
    name = _deadline_name(session_id)
    payload = json.dumps({"kind": "progress", "name": name, "session": session_id})
    services().store.set_deadline(name, payload, within=STALLED_AFTER)


def clear_heartbeat_deadline(session_id: str) -> None:
    services().store.clear_deadline(_deadline_name(session_id))


def _deadline_name(session_id: str) -> str:
    return f"progress:{session_id}:{_process_id}"


@after_fork
def _renew_process_id() -> None:
    global _process_id
    _process_id = random_id()


__all__ += ["cancel_reporters", "running_tasks"]

logger = logging.getLogger("htmx_live.progress")

REPORT_INTERVAL = 0.1  # seconds between two writes of one task
HEARTBEAT_INTERVAL = 2.0
FINISH_RETRY_TIMEOUT = 300.0  # seconds for which an end is kept that could not be written

_lock = threading.RLock()
_reporters: dict[tuple[str, str], "TaskReporter"] = {}
task_started_receivers: list[Callable[[str, str], None]] = []  # told of each task that begins to run here
_heartbeat_timer: Timer | None = None  # the timer on which the next beat is due


class TaskReporter:
    """One task that runs in this process.  ``ref`` names the start that the runner made, "" for any other."""

    def __init__(self, session_id: str, task_id: str, *, ref: str | None = None) -> None:
        self.session_id, self.task_id, self.ref = session_id, task_id, ref
        self.is_cancelled = False
        self._timer = services().timer
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._next_write = -inf
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
            if now < self._next_write:
                self._is_scheduled = True
                self._timer.call_at(self._next_write, lambda: run_in_background(self._flush_scheduled))
                return
            self._next_write = now + REPORT_INTERVAL
        self.flush()
        if self.is_cancelled:
            raise Cancelled

    def take_pending(self) -> Report:
        """What was said and not written; it is the caller's to write."""
        with self._lock:
            report = self._pending_report()
            self._is_dirty, self._advance = False, 0.0
            self._current = self._total = self._message = self._unit = None
            return report

    def flush(self) -> None:
        """Write what was said.  A store that is away is no reason for the work to stop: it is said later."""
        with self._write_lock:
            if not self._is_dirty:
                return
            report = self.take_pending()
            try:
                state = self.apply(apply_report(report))
            except StoreUnavailable as error:
                self.requeue(report)
                message = "The progress of %s could not be written and is kept"
                log_unavailable(logger, error, "writes of progress", message, self.task_id)
                return
        self.sync_status(state)
        schedule_publish(self.session_id)

    def apply(self, transition: Transition) -> TaskState | None:
        return update_task(
            self.session_id, self.task_id, transition if self.ref is None else if_current_start(self.ref, transition)
        )

    def sync_status(self, state: TaskState | None) -> None:
        """Learn from the row what others have done to the task."""
        if state is None:
            remove_reporter(self)
        elif state.status is ProgressStatus.CANCELLED or (self.ref is not None and state.ref != self.ref):
            self.is_cancelled = True
            remove_reporter(self)
        elif state.status.is_ended:
            remove_reporter(self)

    def requeue(self, report: Report) -> None:
        with self._lock:
            merged = report.merge(self._pending_report())
            self._current, self._advance, self._total = merged.current, merged.advance, merged.total
            self._message, self._unit, self._is_dirty = merged.message, merged.unit, True

    def _flush_scheduled(self) -> None:
        with self._lock:
            self._is_scheduled = False
            self._next_write = self._timer() + REPORT_INTERVAL
        self.flush()

    def _pending_report(self) -> Report:
        return Report(
            current=self._current, advance=self._advance, total=self._total, message=self._message, unit=self._unit
        )


def get_reporter(session_id: str, task_id: str, *, ref: str | None = None) -> TaskReporter:
    """The task's gauge; from now on this process says that the task lives."""
    if (reporter := _reporters.get((session_id, task_id))) and (ref is None or reporter.ref == ref):
        return reporter
    with _lock:
        reporter = _reporters.get((session_id, task_id))
        if reporter is None or (ref is not None and reporter.ref != ref):
            reporter = _reporters[session_id, task_id] = TaskReporter(session_id, task_id, ref=ref)
            _schedule_heartbeat()
    for receiver in task_started_receivers:
        _log_errors(partial(receiver, session_id, task_id))
    _log_errors(
        lambda: set_heartbeat_deadline(session_id)
    )  # before the first beat: who is killed at once is missed too
    return reporter


def running_tasks() -> list[tuple[str, str]]:
    """Sessions and tasks that run in this process."""
    return list(_reporters)


def remove_reporter(reporter: TaskReporter) -> None:
    """The task runs here no more."""
    with _lock:
        if _reporters.get((reporter.session_id, reporter.task_id)) is reporter:
            del _reporters[reporter.session_id, reporter.task_id]
        is_last = not any(session == reporter.session_id for session, _ in _reporters)
    if is_last:
        _log_errors(lambda: clear_heartbeat_deadline(reporter.session_id))


def discard_pending(session_id: str, task_id: str) -> None:
    """What the task has said and not written, it has not said."""
    if reporter := _reporters.get((session_id, task_id)):
        with reporter._write_lock:
            reporter.take_pending()


def cancel_reporters(session_id: str, task_ids: Iterable[str]) -> None:
    """Tasks were cancelled by this process: those that run in it need not wait for the next beat."""
    for task in task_ids:
        reporter = _reporters.get((session_id, task))
        if reporter is not None:
            reporter.is_cancelled = True
            remove_reporter(reporter)


def finish_task(
    session_id: str, task_id: str, make_transition: Callable[[Report], Transition], *, ref: str | None = None
) -> None:
    """End a task: what it said last and its end are one change."""
    reporter = get_reporter(session_id, task_id, ref=ref)
    task_end = _TaskEnd(reporter, make_transition)
    if not task_end.try_write():
        _unwritten_ends.append(task_end)


class _TaskEnd:
    """The end of a task, until it is written."""

    def __init__(self, reporter: TaskReporter, make_transition: Callable[[Report], Transition]) -> None:
        self._reporter, self._make_transition = reporter, make_transition
        self._give_up_at = services().timer() + FINISH_RETRY_TIMEOUT

    def try_write(self) -> bool:
        """Write it; also true when that need not be tried any more."""
        reporter = self._reporter
        with reporter._write_lock:
            report = reporter.take_pending()
            try:
                reporter.sync_status(reporter.apply(self._make_transition(report)))
            except StoreUnavailable as error:
                reporter.requeue(report)
                message = "The end of %s could not be written and will be tried again"
                log_unavailable(logger, error, "writes of progress", message, reporter.task_id)
                return services().timer() > self._give_up_at
        remove_reporter(reporter)
        schedule_publish(reporter.session_id, at_once=True)
        return True


_unwritten_ends: list[_TaskEnd] = []


def send_heartbeats() -> None:
    """Say that the tasks of this process live; never raises."""
    for task_end in list(_unwritten_ends):
        if task_end.try_write():
            _unwritten_ends.remove(task_end)
    tasks: dict[str, list[str]] = {}
    for session, task in running_tasks():
        tasks.setdefault(session, []).append(task)
    for session, those in tasks.items():
        _log_errors(partial(_send_heartbeat, session, those))


def _send_heartbeat(session_id: str, task_ids: list[str]) -> None:
    alive = progress_store().heartbeat(session_id, task_ids)
    set_heartbeat_deadline(session_id)
    for task in set(task_ids) - alive:
        reporter = _reporters.get((session_id, task))
        found = progress_store().load_task(session_id, task)
        if reporter is None or (found is not None and not found[0].status.is_ended):
            continue  # ended here meanwhile, or not begun
        if found is not None and found[0].status is ProgressStatus.LOST:
            reporter.apply(apply_report(Report()))  # here it is
            continue
        reporter.sync_status(None if found is None else found[0])
    refresh(session_id, within=0.9 * HEARTBEAT_INTERVAL)


def _schedule_heartbeat() -> None:
    """Beat from now on, while there is something to beat for."""
    global _heartbeat_timer
    timer = services().timer
    if _heartbeat_timer is not timer:
        _heartbeat_timer = timer
        timer.call_at(timer() + HEARTBEAT_INTERVAL, lambda: run_in_background(_run_heartbeat))


def _run_heartbeat() -> None:
    global _heartbeat_timer
    send_heartbeats()
    with _lock:
        _heartbeat_timer = None
        if _reporters or _unwritten_ends:
            _schedule_heartbeat()


def _log_errors(function: Callable[[], object]) -> None:
    try:
        function()
    except StoreUnavailable as error:
        message = "Progress could not be kept alive and will be tried again"
        log_unavailable(logger, error, "heartbeats of progress", message)
    except Exception:  # a boundary: one session must not keep the others from living
        logger.exception("A beat of progress failed")


@after_fork
def _reset_after_fork() -> None:
    """What runs in the parent is the parent's."""
    global _lock
    _lock = threading.RLock()
    reset_reporters()


def reset_reporters() -> None:
    """Nothing runs here; also for tests, whose stores go with them."""
    global _heartbeat_timer
    _reporters.clear()
    _unwritten_ends.clear()
    _heartbeat_timer = None
    reset_publisher()
