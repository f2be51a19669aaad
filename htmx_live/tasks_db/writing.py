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
"""

import atexit
import logging
import threading
from dataclasses import dataclass
from math import inf
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from htmx_live.exceptions import StoreUnavailable
from htmx_live.forks import after_fork
from htmx_live.pool import DaemonPool, Pool
from htmx_live.progress.keeping import keeping
from htmx_live.progress.values import Kept, ProgressStatus
from htmx_live.runtime.parts import parts
from htmx_live.tasks_db.facts import facts_of
from htmx_live.tasks_db.models import TaskRecord
from htmx_live.tasks_db.records import save
from htmx_live.timer import Timer

__all__ = ["EVERY", "PATIENCE", "ROUND", "VOUCH", "forget_all", "known", "note", "write_due"]

logger = logging.getLogger("htmx_live.tasks")

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
