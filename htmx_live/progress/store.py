"""The keeping port: where sessions are kept, one record per task.

A task is changed by reading its row and swapping it for the next one, if nobody else has changed it meanwhile: two
processes that report on different tasks, or on one, lose nothing of each other.  Signs of life are kept beside the rows
and change no ``rev``.  What is kept of a session lives ``PROGRESS_TTL`` seconds beyond its last change or sign of life.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from htmx_live.core.concurrency import after_fork
from htmx_live.core.conf import settings
from htmx_live.jobs.watchdog import on_sweep
from htmx_live.progress.cache_store import CacheKeeping
from htmx_live.progress.memory_store import MemoryKeeping
from htmx_live.progress.model import Kept, Row, Session, is_going
from htmx_live.progress.redis_store import RedisKeeping
from htmx_live.progress.transitions import Change

__all__ = ["Keeping", "apply", "create_or_join", "endings", "keeping", "override_keeping"]


endings: list[Callable[[str, str, Row], None]] = []  # told of the end of each task that wants it noticed
_TRIES = 100  # swaps that others may come before


class Keeping(Protocol):
    """Every method may raise ``StoreUnavailable``."""

    def create(self, session: Session, rows: dict[str, Row], *, instead_of: str = "") -> str:
        """Keep a session; the id of the one that is kept then.

        Of those with one owner and one key there is one: if another is kept it stays, and nothing is done, unless it
        is ``instead_of``.
        """

    def now(self) -> float:
        """Seconds since 1970 on the clock of this place."""

    def load(self, session: str) -> Kept | None:
        """All of a session in one step; None when there is none."""

    def row(self, session: str, task: str) -> tuple[Row, float] | None:
        """One task and the time; None when there is none."""

    def swap(self, session: str, task: str, row: Row) -> bool:
        """Put ``row`` in the place of the one whose rev is one less; False when there is another."""

    def beat(self, session: str, tasks: Iterable[str]) -> set[str]:
        """Signs of life; those of the tasks that still run."""

    def show(self, session: str, key: str, card: str) -> None:
        """Note what is on a page, until the session goes; past 32 kinds the first goes."""

    def bind(self, job: str, session: str, task: str) -> None:
        """Note for a week that the Celery task with the id ``job`` works on a task; past 32 tasks the first goes."""

    def bound(self, job: str) -> list[tuple[str, str]]:
        """Sessions and tasks that the Celery task works on."""

    def of_owner(self, owner: str) -> list[Kept]:
        """The last 100 sessions of an owner that are still kept, the newest first; in Redis one round trip."""

    def show_list(self, owner: str, key: str, card: str) -> None:
        """See ``show``: of the list of an owner's sessions."""

    def shown_lists(self, owner: str) -> dict[str, str]: ...


_lock = threading.Lock()
_built: dict[tuple[str, str], Keeping] = {}
_override: Keeping | None = None


def keeping() -> Keeping:
    """Where the settings say that sessions are kept."""
    if _override is not None:
        return _override
    chosen = settings()
    key = (chosen.PROGRESS_CACHE or "", chosen.REDIS_URL)
    built = _built.get(key)
    if built is None:
        with _lock:
            built = _built.setdefault(key, _build(*key))
    return built


def _build(cache: str, redis_url: str) -> Keeping:
    if cache:
        return CacheKeeping(cache)
    return RedisKeeping() if redis_url else MemoryKeeping()


@after_fork
def _forget() -> None:
    global _lock
    _lock = threading.Lock()


@contextmanager
def override_keeping(other: Keeping) -> Iterator[Keeping]:
    """Another place for a while; for tests."""
    global _override
    before, _override = _override, other
    try:
        yield other
    finally:
        _override = before


def create_or_join(session: Session, rows: dict[str, Row]) -> Session:
    """Keep a session; the one of its owner and key that is going already, if there is one, in its place."""
    place, over = keeping(), ""
    for _ in range(_TRIES):
        there = place.create(session, rows, instead_of=over)
        if there == session.id:
            return session
        kept = place.load(there)
        if kept is not None and is_going(kept):
            return kept.session
        over = there
    raise RuntimeError(f"Sessions with the key {session.key!r} ended {_TRIES} times while another was made.")


def apply(session: str, task: str, change: Change) -> Row | None:
    """Make ``change`` to one task; its row as it is then, also when the change was dropped; None when it is gone.

    The time that a change hears never runs back, whatever was done to the clock.
    """
    place = keeping()
    for _ in range(_TRIES):
        found = place.row(session, task)
        if found is None:
            return None
        row, now = found
        after = change(row, max(now, row.since, row.rate.at or 0.0))
        if after is None:
            return row
        after = replace(after, rev=row.rev + 1)
        if place.swap(session, task, after):
            if after.notify and after.status.is_ended and after.status is not row.status:
                for told in endings:
                    told(session, task, after)
            return after
    raise RuntimeError(f"Task {task!r} of session {session} was changed {_TRIES} times by others, each in between.")


on_sweep(keeping)
