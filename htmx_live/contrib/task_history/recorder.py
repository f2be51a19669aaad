"""Writing: what this process changes of progress is written to the database, seldom and beside the work.

    mark_dirty ──▶ tracked ──▶ a round every ``FLUSH_INTERVAL`` seconds, on a thread with its own connection
               ▲         │ nothing new, or the same status within ``RECORD_INTERVAL`` seconds ──▶ later
               │         │ SQLite, and who reports is in a transaction ──▶ later, when that has ended
               │         ▼
               │       load ▸ UPDATE or INSERT ──▶ its end is written ──▶ forgotten
               └─────────┘ the database is busy or away: tried again for ``RECORD_RETRY_TIMEOUT`` seconds

A session that is known and silent is vouched for every ``RECORD_HEARTBEAT`` seconds.  What is forgotten without its end
(the process died, the database was away for long) is made good by ``losses``.

On SQLite two transactions that both want to write can fail each other, so we write none while the work holds one.

Records: a session's facts as one row of the database, each change one statement of its own.

A row is changed only by facts that are not older than it.  Whoever sees another status is told.

Facts: what a record says of a session, as a pure function of what progress keeps of it.

Losses: unfinished records that no process vouches for any more.

    unfinished ──▶ not seen for ``UNSEEN_AFTER`` seconds ──▶ is the session kept?
                                                         │ yes: what it says is written, lost by its lease or not
                                                         └ no:  it was lost when it was last seen

They are looked into when somebody looks at them: in the inbox, in the admin, before old ones are purged.
"""

import atexit
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import inf
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, InterfaceError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from htmx_live.contrib.task_history.models import MAX_TEXT_LENGTH, TaskRecord
from htmx_live.contrib.task_history.publisher import publish_finished
from htmx_live.core.concurrency import DaemonPool, Pool, after_fork
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.scheduler import Timer
from htmx_live.core.text import log_unavailable
from htmx_live.progress.model import (
    ProgressStatus,
    SessionHeader,
    SessionSnapshot,
    SessionSummary,
    TaskState,
    owner_key,
    summarize,
)
from htmx_live.progress.store import progress_store
from htmx_live.runtime.services import services

__all__ = [
    "FLUSH_INTERVAL",
    "RECORD_HEARTBEAT",
    "RECORD_INTERVAL",
    "RECORD_RETRY_TIMEOUT",
    "UNSEEN_AFTER",
    "flush_due",
    "get_changing_fields",
    "get_fixed_fields",
    "mark_dirty",
    "reconcile",
    "reset_recorder",
    "save_record",
    "to_datetime",
    "tracked_sessions",
    "truncate_text",
]


_WAITING_STATUSES = {ProgressStatus.QUEUED, ProgressStatus.RETRYING}


def get_changing_fields(snapshot: SessionSnapshot) -> dict[str, Any]:
    """The fields that change."""
    summary = summarize(snapshot, is_settled=True)
    main_task = summary.states[_find_main_task(summary)]
    is_finished = summary.is_ended and not any(
        one in _WAITING_STATUSES or one.is_running for one in summary.statuses.values()
    )
    start_times = [one.started for one in summary.states.values() if one.started is not None]
    end_time = max((one.ended or one.since for one in summary.states.values()), default=snapshot.now)
    return {
        "status": _record_status(summary) if is_finished or not summary.is_ended else TaskRecord.Status.RUNNING,
        "percent": summary.percent,
        "message": truncate_text(main_task.message),
        "result_url": _last_result_url(summary),
        "error_id": next((one.error for one in summary.states.values() if one.error), "")[:64],
        "started": to_datetime(min(start_times)) if start_times else None,
        "finished": to_datetime(end_time) if is_finished else None,
        "number": snapshot.number,
    }


def get_fixed_fields(snapshot: SessionSnapshot) -> dict[str, Any]:
    """The fields that never change, but for the owner."""
    header = snapshot.header
    return {
        "owner_word": owner_key(header.owner)[:100],
        "key": _shorten_key(header.key),
        "name": truncate_text(", ".join(header.names.values())),
        "created": to_datetime(header.created),
    }


def to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def truncate_text(text: str) -> str:
    """As long as a field takes; without NUL, which PostgreSQL refuses, and without halves of characters."""
    clean = text.replace("\0", "").encode(errors="replace").decode()
    return clean if len(clean) <= MAX_TEXT_LENGTH else clean[: MAX_TEXT_LENGTH - 1] + "…"


def _shorten_key(key: str) -> str:
    """Two long keys stay two."""
    return key if len(key) <= 200 else key[:160] + blake2b(key.encode(), digest_size=16).hexdigest()


def _record_status(summary: SessionSummary) -> str:
    """One for all tasks; of failures it is told whether a process was lost."""
    statuses = set(summary.statuses.values())
    if summary.status is ProgressStatus.ERROR:
        return TaskRecord.Status.LOST if ProgressStatus.ERROR not in statuses else TaskRecord.Status.ERROR
    return TaskRecord.Status.QUEUED if summary.status is ProgressStatus.PENDING else str(summary.status)


def _find_main_task(summary: SessionSummary) -> str:
    """The task whose message tells most: one that failed, else the one that changed last."""
    failed = [task for task, status in summary.statuses.items() if status.is_failed]
    return failed[0] if failed else max(summary.states, key=lambda task: (summary.states[task].since, task))


def _last_result_url(summary: SessionSummary) -> str:
    """The last result; one that does not fit is left out, for half an address leads nowhere."""
    found: list[TaskState] = [state for state in summary.states.values() if state.result and len(state.result) <= 2000]
    return max(found, key=lambda state: state.since).result if found else ""


logger = logging.getLogger("htmx_live.contrib.task_history")


def save_record(snapshot: SessionSnapshot, changing_fields: dict[str, Any] | None = None) -> None:
    """Write what is known of a session; raises what the database raises."""
    values = {**(changing_fields or get_changing_fields(snapshot)), "seen": datetime.now(UTC)}
    header = snapshot.header
    existing = TaskRecord.objects.filter(session=header.id).values_list("status", "finished").first()
    if existing is None:
        _insert(snapshot, values)
    else:
        _update(header, values)
    if existing is None or existing != (values["status"], values["finished"]):
        publish_finished(header.owner)


def _update(header: SessionHeader, values: dict[str, Any]) -> bool:
    return TaskRecord.objects.filter(session=header.id, number__lte=values["number"]).update(**values) > 0


def _insert(snapshot: SessionSnapshot, values: dict[str, Any]) -> None:
    """Another process may insert it first, and one that sees other sessions may have the key."""
    header, identity = snapshot.header, get_fixed_fields(snapshot)
    fields = {"session": header.id, "owner_id": _find_owner_pk(header.owner.user), **identity, **values}
    if _try_insert(fields) or _update(header, values):
        return
    if TaskRecord.objects.filter(session=header.id).exists():
        return  # by another process, which knows more
    logger.warning(
        "Two records of one owner with the key %r are unfinished, so that of session %s has none. Either a process "
        "died a moment ago, or processes keep progress apart: then set HTMX_LIVE['REDIS_URL'].",
        header.key,
        header.id,
    )
    TaskRecord.objects.create(**{**fields, "key": ""})


def _try_insert(fields: dict[str, Any]) -> bool:
    try:
        with transaction.atomic(using=router.db_for_write(TaskRecord)):
            TaskRecord.objects.create(**fields)
    except IntegrityError:
        return False
    return True


def _find_owner_pk(user: str) -> Any:
    """The primary key of a user who is still there, or None."""
    users = get_user_model()
    try:
        return users._base_manager.filter(pk=user).values_list("pk", flat=True).first() if user else None
    except (ValueError, ValidationError):
        return None


FLUSH_INTERVAL = 0.5  # seconds
RECORD_INTERVAL = 2.0  # seconds between two writes of one session that tell no other status
RECORD_HEARTBEAT = 10.0
RECORD_RETRY_TIMEOUT = 300.0
_MAX_RETRY_DELAY = 30.0  # seconds between two tries at a database that is away
_EXIT_TIMEOUT = 3.0  # seconds that the last writes have when the process ends


@dataclass(slots=True)
class _TrackedSession:
    """A session that this process has changed and whose end is not written yet.

    Times are the timer's.  ``transaction_connection`` is the last reporter's, if it is in a transaction.
    """

    is_dirty: bool = True  # there is something that is not written
    status: tuple[Any, ...] = ()
    written_at: float = -inf
    next_try: float = -inf
    failing_since: float | None = None
    failures: int = 0
    transaction_connection: BaseDatabaseWrapper | None = None


_lock = threading.Lock()
_tracked: dict[str, _TrackedSession] = {}
_flush_timer: Timer | None = None  # the timer on which the next round is due
_pool = DaemonPool("htmx-live-tasks", lambda: 1)


def mark_dirty(session_id: str) -> None:
    """Write what the session is now, soon.  It does not wait for anything."""
    connection = _find_connection_in_transaction()
    with _lock:
        tracked = _tracked.setdefault(session_id, _TrackedSession())
        tracked.is_dirty = True
        tracked.transaction_connection = connection or tracked.transaction_connection
        _schedule_flush()


def tracked_sessions() -> list[str]:
    """Sessions whose end this process still has to write."""
    return list(_tracked)


def flush_due() -> None:
    """Write what is due; never raises."""
    now = services().timer()
    for session_id, tracked in list(_tracked.items()):
        if (
            now < tracked.next_try
            or not (tracked.is_dirty or now - tracked.written_at >= RECORD_HEARTBEAT)
            or _is_blocked(tracked)
        ):
            continue
        try:
            _flush_session(session_id, tracked, now)
        except StoreUnavailable as error:
            _schedule_retry(session_id, tracked, now, error)
        except (DatabaseError, InterfaceError) as error:
            _schedule_retry(session_id, tracked, now, error)
            return  # the others need not wait as long for a database that is busy: their turn is the next round
        except Exception:  # a boundary: one session must not keep the others from being written
            logger.exception("The record of session %s could not be written", session_id)
            _untrack(session_id, tracked)


def _flush_session(session_id: str, tracked: _TrackedSession, now: float) -> None:
    tracked.is_dirty = False  # what is noted from here on is written with the next round
    snapshot = progress_store().load(session_id)
    if snapshot is None or _is_not_started(snapshot):
        _untrack(session_id, tracked)
        return
    changing_fields = get_changing_fields(snapshot)
    status = (changing_fields["status"], changing_fields["finished"] is None)
    if status == tracked.status and now - tracked.written_at < RECORD_INTERVAL:
        tracked.is_dirty = True
        return
    save_record(snapshot, changing_fields)
    tracked.status, tracked.written_at = status, now
    tracked.failing_since, tracked.failures = None, 0
    if changing_fields["finished"] is not None:
        _untrack(session_id, tracked)


def _schedule_retry(session_id: str, tracked: _TrackedSession, now: float, error: Exception) -> None:
    tracked.is_dirty = True
    tracked.failing_since = now if tracked.failing_since is None else tracked.failing_since
    if now - tracked.failing_since > RECORD_RETRY_TIMEOUT:
        logger.error("The record of session %s could not be written, which is given up: %s", session_id, error)
        _tracked.pop(session_id, None)
        return
    tracked.failures += 1
    tracked.next_try = now + min(FLUSH_INTERVAL * 2**tracked.failures, _MAX_RETRY_DELAY)
    logger.warning("The record of session %s could not be written and will be tried again: %s", session_id, error)


def _untrack(session_id: str, tracked: _TrackedSession) -> None:
    """Unless something has been noted meanwhile."""
    with _lock:
        if not tracked.is_dirty and _tracked.get(session_id) is tracked:
            del _tracked[session_id]


def _is_not_started(snapshot: SessionSnapshot) -> bool:
    return all(state.status is ProgressStatus.PENDING for state in snapshot.states.values())


def _find_connection_in_transaction() -> BaseDatabaseWrapper | None:
    """This thread's connection to SQLite, if it is in a transaction of the project's on the records' database."""
    alias = router.db_for_write(TaskRecord)
    for connection in connections.all(initialized_only=True):
        if connection.alias == alias and connection.vendor == "sqlite" and _is_in_transaction(connection):
            return connection
    return None


def _is_blocked(tracked: _TrackedSession) -> bool:
    if tracked.transaction_connection is not None and _is_in_transaction(tracked.transaction_connection):
        return True
    tracked.transaction_connection = None
    return False


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """The transaction that Django's ``TestCase`` wraps around a test does not count."""
    blocks = list(connection.atomic_blocks) if connection.in_atomic_block else []
    return any(not getattr(block, "_from_testcase", False) for block in blocks)


def _schedule_flush() -> None:
    """Rounds from now on, while there is something to write."""
    global _flush_timer
    timer = services().timer
    if _flush_timer is not timer:
        _flush_timer = timer
        timer.call_at(timer() + FLUSH_INTERVAL, _submit_flush)


def _submit_flush() -> None:
    turns: Pool = services().turn_pool
    (_pool if isinstance(turns, DaemonPool) else turns).submit(_run_flush)


def _run_flush() -> None:
    global _flush_timer
    try:
        flush_due()
    finally:
        with _lock:
            _flush_timer = None
            if _tracked:
                _schedule_flush()


@atexit.register
def _flush_at_exit() -> None:
    """A script ends as soon as its work has: what it said last is written before."""
    if any(one.is_dirty for one in list(_tracked.values())):
        for one in _tracked.values():
            one.status = ()  # whenever it was written last
        _pool.submit(flush_due)
        _pool.join(_EXIT_TIMEOUT)


@after_fork
def _reset_after_fork() -> None:
    """What the parent changes is the parent's to write."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), DaemonPool("htmx-live-tasks", lambda: 1)
    reset_recorder()


def reset_recorder() -> None:
    """Nothing was changed here; also for tests, whose timers go with them."""
    global _flush_timer
    _tracked.clear()
    _flush_timer = None


UNSEEN_AFTER = 30.0  # seconds; a living process vouches three times in them
_RECONCILE_LIMIT = 200  # that one look sees to


def reconcile(*, now: datetime | None = None, **filters: Any) -> int:
    """See to unfinished records, those that ``filters`` select; how many were found without a sign of life."""
    checked_at = now or datetime.now(UTC)
    unseen = TaskRecord.objects.filter(finished=None, seen__lt=checked_at - timedelta(seconds=UNSEEN_AFTER), **filters)
    candidates = list(unseen.order_by("seen")[:_RECONCILE_LIMIT])
    for number, record in enumerate(candidates):
        try:
            snapshot = progress_store().load(record.session)
        except StoreUnavailable as error:
            message = "Records that were not seen for long cannot be checked"
            log_unavailable(logger, error, "looks for lost tasks", message)
            return number
        if snapshot is not None:
            save_record(snapshot)
        else:
            unchanged = TaskRecord.objects.filter(pk=record.pk, seen=record.seen, finished=None)
            unchanged.update(status=TaskRecord.Status.LOST, finished=record.seen, seen=checked_at)
    return len(candidates)
