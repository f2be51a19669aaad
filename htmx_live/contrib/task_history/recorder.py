"""Writing: what this process changes of progress is written to the database, seldom and beside the work.

    note ──▶ known ──▶ a round every ``ROUND`` seconds, on a thread with a connection of its own
               ▲         │ nothing new, or written less than ``EVERY`` seconds ago and no other status ──▶ later
               │         │ SQLite, and who reports is in a transaction ──▶ later, when that has ended
               │         ▼
               │       load ▸ UPDATE or INSERT ──▶ its end is written ──▶ forgotten
               └─────────┘ the database is busy or away: tried again, ever more seldom, for ``PATIENCE`` seconds

A session that is known and silent is vouched for every ``VOUCH`` seconds.  What is forgotten without its end (the
process died, the database was away for long) is made good by ``losses``.

On SQLite two transactions that both want to write can fail each other, so we write none while the work holds one.

Records: a session's facts as one row of the database, each change one statement of its own.

A row is changed only by facts that are not older than it.  Whoever sees another status is told.

Facts: what a record says of a session, as a pure function of what progress keeps of it.

Losses: unfinished records that no process vouches for any more.

    unfinished ──▶ not seen for ``UNSEEN`` seconds ──▶ is the session kept?
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

from htmx_live.contrib.task_history.models import LONGEST, TaskRecord
from htmx_live.contrib.task_history.publisher import publish
from htmx_live.core.concurrency import DaemonPool, Pool, after_fork
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.scheduler import Timer
from htmx_live.core.text import log_unavailable
from htmx_live.progress.model import Kept, ProgressStatus, Row, Seen, Session, listed_under, seen
from htmx_live.progress.store import keeping
from htmx_live.runtime.services import parts

__all__ = [
    "EVERY",
    "PATIENCE",
    "ROUND",
    "UNSEEN",
    "VOUCH",
    "clipped",
    "facts_of",
    "forget_all",
    "identity_of",
    "known",
    "moment",
    "note",
    "save",
    "settle",
    "write_due",
]


_BUSY = {ProgressStatus.QUEUED, ProgressStatus.RETRYING}


def facts_of(kept: Kept) -> dict[str, Any]:
    """The fields that change."""
    here = seen(kept, is_settled=True)
    told = here.rows[_telling(here)]
    is_over = here.is_ended and not any(one in _BUSY or one.is_running for one in here.statuses.values())
    began = [one.started for one in here.rows.values() if one.started is not None]
    last = max((one.ended or one.since for one in here.rows.values()), default=kept.now)
    return {
        "status": _status(here) if is_over or not here.is_ended else TaskRecord.Status.RUNNING,
        "percent": here.percent,
        "message": clipped(told.message),
        "result_url": _result(here),
        "error_id": next((one.error for one in here.rows.values() if one.error), "")[:64],
        "started": moment(min(began)) if began else None,
        "finished": moment(last) if is_over else None,
        "number": kept.number,
    }


def identity_of(kept: Kept) -> dict[str, Any]:
    """The fields that never change, but for the owner."""
    session = kept.session
    return {
        "owner_word": listed_under(session.owner)[:100],
        "key": _short(session.key),
        "name": clipped(", ".join(session.names.values())),
        "created": moment(session.created),
    }


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def clipped(text: str) -> str:
    """As long as a field takes; without NUL, which PostgreSQL refuses, and without halves of characters."""
    clean = text.replace("\0", "").encode(errors="replace").decode()
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + "…"


def _short(key: str) -> str:
    """Two long keys stay two."""
    return key if len(key) <= 200 else key[:160] + blake2b(key.encode(), digest_size=16).hexdigest()


def _status(here: Seen) -> str:
    """One for all tasks; of failures it is told whether a process was lost."""
    statuses = set(here.statuses.values())
    if here.status is ProgressStatus.ERROR:
        return TaskRecord.Status.LOST if ProgressStatus.ERROR not in statuses else TaskRecord.Status.ERROR
    return TaskRecord.Status.QUEUED if here.status is ProgressStatus.PENDING else str(here.status)


def _telling(here: Seen) -> str:
    """The task whose message tells most: one that failed, else the one that changed last."""
    failed = [task for task, status in here.statuses.items() if status.is_failed]
    return failed[0] if failed else max(here.rows, key=lambda task: (here.rows[task].since, task))


def _result(here: Seen) -> str:
    """The last result; one that does not fit is left out, for half an address leads nowhere."""
    found: list[Row] = [row for row in here.rows.values() if row.result and len(row.result) <= 2000]
    return max(found, key=lambda row: row.since).result if found else ""


logger = logging.getLogger("htmx_live.tasks")


def save(kept: Kept, facts: dict[str, Any] | None = None) -> None:
    """Write what is known of a session; raises what the database raises."""
    given = {**(facts or facts_of(kept)), "seen": datetime.now(UTC)}
    session = kept.session
    there = TaskRecord.objects.filter(session=session.id).values_list("status", "finished").first()
    if there is None:
        _insert(kept, given)
    else:
        _update(session, given)
    if there is None or there != (given["status"], given["finished"]):
        publish(session.owner)


def _update(session: Session, given: dict[str, Any]) -> bool:
    return TaskRecord.objects.filter(session=session.id, number__lte=given["number"]).update(**given) > 0


def _insert(kept: Kept, given: dict[str, Any]) -> None:
    """Another process may insert it first, and one that sees other sessions may have the key."""
    session, identity = kept.session, identity_of(kept)
    fields = {"session": session.id, "owner_id": _owner(session.owner.user), **identity, **given}
    if _was_inserted(fields) or _update(session, given):
        return
    if TaskRecord.objects.filter(session=session.id).exists():
        return  # by another process, which knows more
    logger.warning(
        "Two records of one owner with the key %r are unfinished, so that of session %s has none. Either a process "
        "died a moment ago, or processes keep progress apart: then set HTMX_LIVE['REDIS_URL'].",
        session.key,
        session.id,
    )
    TaskRecord.objects.create(**{**fields, "key": ""})


def _was_inserted(fields: dict[str, Any]) -> bool:
    try:
        with transaction.atomic(using=router.db_for_write(TaskRecord)):
            TaskRecord.objects.create(**fields)
    except IntegrityError:
        return False
    return True


def _owner(user: str) -> Any:
    """The primary key of a user who is still there, or None."""
    users = get_user_model()
    try:
        return users._base_manager.filter(pk=user).values_list("pk", flat=True).first() if user else None
    except (ValueError, ValidationError):
        return None


ROUND = 0.5  # seconds
EVERY = 2.0  # seconds between two writes of one session that tell no other status
VOUCH = 10.0
PATIENCE = 300.0
_SLOWEST = 30.0  # seconds between two tries at a database that is away
_AT_EXIT = 3.0  # seconds that the last writes have when the process ends


@dataclass(slots=True)
class _Known:
    """A session that this process has changed and whose end is not written yet.

    Times are the timer's.  ``holder`` is the connection of who reported last, if that was in a transaction.
    """

    is_new: bool = True  # there is something that is not written
    status: tuple[Any, ...] = ()
    written: float = -inf
    next: float = -inf
    failing_since: float | None = None
    failures: int = 0
    holder: BaseDatabaseWrapper | None = None


_lock = threading.Lock()
_known: dict[str, _Known] = {}
_rounds: Timer | None = None  # the timer on which the next round is due
_pool = DaemonPool("htmx-live-tasks", lambda: 1)


def note(session: str) -> None:
    """Write what the session is now, soon.  It does not wait for anything."""
    holder = _in_transaction()
    with _lock:
        one = _known.setdefault(session, _Known())
        one.is_new = True
        one.holder = holder or one.holder
        _begin()


def known() -> list[str]:
    """Sessions whose end this process still has to write."""
    return list(_known)


def write_due() -> None:
    """Write what is due; never raises."""
    now = parts().timer()
    for session, one in list(_known.items()):
        if now < one.next or not (one.is_new or now - one.written >= VOUCH) or _is_held(one):
            continue
        try:
            _see_to(session, one, now)
        except StoreUnavailable as error:
            _try_later(session, one, now, error)
        except (DatabaseError, InterfaceError) as error:
            _try_later(session, one, now, error)
            return  # the others need not wait as long for a database that is busy: their turn is the next round
        except Exception:  # a boundary: one session must not keep the others from being written
            logger.exception("The record of session %s could not be written", session)
            _forget(session, one)


def _see_to(session: str, one: _Known, now: float) -> None:
    one.is_new = False  # what is noted from here on is written with the next round
    kept = keeping().load(session)
    if kept is None or _is_before_begin(kept):
        _forget(session, one)
        return
    facts = facts_of(kept)
    status = (facts["status"], facts["finished"] is None)
    if status == one.status and now - one.written < EVERY:
        one.is_new = True
        return
    save(kept, facts)
    one.status, one.written = status, now
    one.failing_since, one.failures = None, 0
    if facts["finished"] is not None:
        _forget(session, one)


def _try_later(session: str, one: _Known, now: float, error: Exception) -> None:
    one.is_new = True
    one.failing_since = now if one.failing_since is None else one.failing_since
    if now - one.failing_since > PATIENCE:
        logger.error("The record of session %s could not be written, which is given up: %s", session, error)
        _known.pop(session, None)
        return
    one.failures += 1
    one.next = now + min(ROUND * 2**one.failures, _SLOWEST)
    logger.warning("The record of session %s could not be written and will be tried again: %s", session, error)


def _forget(session: str, one: _Known) -> None:
    """Unless something has been noted meanwhile."""
    with _lock:
        if not one.is_new and _known.get(session) is one:
            del _known[session]


def _is_before_begin(kept: Kept) -> bool:
    return all(row.status is ProgressStatus.PENDING for row in kept.rows.values())


def _in_transaction() -> BaseDatabaseWrapper | None:
    """This thread's connection to SQLite, if it is in a transaction of the project's on the records' database."""
    alias = router.db_for_write(TaskRecord)
    for connection in connections.all(initialized_only=True):
        if connection.alias == alias and connection.vendor == "sqlite" and _is_busy(connection):
            return connection
    return None


def _is_held(one: _Known) -> bool:
    if one.holder is not None and _is_busy(one.holder):
        return True
    one.holder = None
    return False


def _is_busy(connection: BaseDatabaseWrapper) -> bool:
    """The transaction that Django's ``TestCase`` wraps around a test does not count."""
    blocks = list(connection.atomic_blocks) if connection.in_atomic_block else []
    return any(not getattr(block, "_from_testcase", False) for block in blocks)


def _begin() -> None:
    """Rounds from now on, while there is something to write."""
    global _rounds
    timer = parts().timer
    if _rounds is not timer:
        _rounds = timer
        timer.at(timer() + ROUND, _submit)


def _submit() -> None:
    turns: Pool = parts().turns
    (_pool if isinstance(turns, DaemonPool) else turns).submit(_go_round)


def _go_round() -> None:
    global _rounds
    try:
        write_due()
    finally:
        with _lock:
            _rounds = None
            if _known:
                _begin()


@atexit.register
def _write_last() -> None:
    """A script ends as soon as its work has: what it said last is written before."""
    if any(one.is_new for one in list(_known.values())):
        for one in _known.values():
            one.status = ()  # whenever it was written last
        _pool.submit(write_due)
        _pool.settle(_AT_EXIT)


@after_fork
def _after_fork() -> None:
    """What the parent changes is the parent's to write."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), DaemonPool("htmx-live-tasks", lambda: 1)
    forget_all()


def forget_all() -> None:
    """Nothing was changed here; also for tests, whose timers go with them."""
    global _rounds
    _known.clear()
    _rounds = None


UNSEEN = 30.0  # seconds; a living process vouches three times in them
_MOST = 200  # that one look sees to


def settle(*, now: datetime | None = None, **of: Any) -> int:
    """See to unfinished records, those that ``of`` filters; how many were found without a sign of life."""
    at = now or datetime.now(UTC)
    unseen = TaskRecord.objects.filter(finished=None, seen__lt=at - timedelta(seconds=UNSEEN), **of)
    found = list(unseen.order_by("seen")[:_MOST])
    for number, record in enumerate(found):
        try:
            kept = keeping().load(record.session)
        except StoreUnavailable as error:
            message = "Records that were not seen for long cannot be checked"
            log_unavailable(logger, error, "looks for lost tasks", message)
            return number
        if kept is not None:
            save(kept)
        else:
            still = TaskRecord.objects.filter(pk=record.pk, seen=record.seen, finished=None)
            still.update(status=TaskRecord.Status.LOST, finished=record.seen, seen=at)
    return len(found)
