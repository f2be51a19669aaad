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
from htmx_live.jobs.watchdog import register_sweep
from htmx_live.progress.cache_store import CacheProgressStore
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.model import SessionHeader, SessionSnapshot, TaskState, is_active
from htmx_live.progress.redis_store import RedisProgressStore
from htmx_live.progress.transitions import Transition

__all__ = [
    "ProgressStore",
    "create_or_join",
    "override_progress_store",
    "progress_store",
    "task_finished_receivers",
    "update_task",
]


task_finished_receivers: list[
    Callable[[str, str, TaskState], None]
] = []  # told of the end of each task that wants it noticed
_MAX_TRIES = 100  # swaps that others may come before


class ProgressStore(Protocol):
    """Every method may raise ``StoreUnavailable``."""

    def create(self, header: SessionHeader, states: dict[str, TaskState], *, replacing: str = "") -> str:
        """Keep a session; the id of the one that is kept then.

        Of those with one owner and one key there is one: if another is kept it stays, and nothing is done, unless it
        is ``instead_of``.
        """

    def now(self) -> float:
        """Seconds since 1970 on the clock of this place."""

    def load(self, session_id: str) -> SessionSnapshot | None:
        """All of a session in one step; None when there is none."""

    def load_task(self, session_id: str, task_id: str) -> tuple[TaskState, float] | None:
        """One task and the time; None when there is none."""

    def compare_and_set(self, session_id: str, task_id: str, state: TaskState) -> bool:
        """Put ``state`` in the place of the one whose rev is one less; False when there is another."""

    def heartbeat(self, session_id: str, task_ids: Iterable[str]) -> set[str]:
        """Signs of life; those of the tasks that still run."""

    def add_card(self, session_id: str, key: str, card_json: str) -> None:
        """Note what is on a page, until the session goes; past 32 kinds the first goes."""

    def link_celery_task(self, celery_task_id: str, session_id: str, task_id: str) -> None:
        """Note for a week that the Celery task with the id ``job`` works on a task; past 32 tasks the first goes."""

    def find_by_celery_task(self, celery_task_id: str) -> list[tuple[str, str]]:
        """Sessions and tasks that the Celery task works on."""

    def find_by_owner(self, owner: str) -> list[SessionSnapshot]:
        """The last 100 sessions of an owner that are still kept, the newest first; in Redis one round trip."""

    def add_list_card(self, owner: str, key: str, card_json: str) -> None:
        """See ``add_card``: of the list of an owner's sessions."""

    def load_list_cards(self, owner: str) -> dict[str, str]: ...


_lock = threading.Lock()
_stores: dict[tuple[str, str], ProgressStore] = {}
_override: ProgressStore | None = None


def progress_store() -> ProgressStore:
    """Where the settings say that sessions are kept."""
    if _override is not None:
        return _override
    chosen = settings()
    key = (chosen.PROGRESS_CACHE or "", chosen.REDIS_URL)
    built = _stores.get(key)
    if built is None:
        with _lock:
            built = _stores.setdefault(key, _create_store(*key))
    return built


def _create_store(cache: str, redis_url: str) -> ProgressStore:
    if cache:
        return CacheProgressStore(cache)
    return RedisProgressStore() if redis_url else MemoryProgressStore()


@after_fork
def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


@contextmanager
def override_progress_store(other: ProgressStore) -> Iterator[ProgressStore]:
    """Another place for a while; for tests."""
    global _override
    previous, _override = _override, other
    try:
        yield other
    finally:
        _override = previous


def create_or_join(header: SessionHeader, states: dict[str, TaskState]) -> SessionHeader:
    """Keep a session; the one of its owner and key that is going already, if there is one, in its place."""
    store, ended_id = progress_store(), ""
    for _ in range(_MAX_TRIES):
        existing_id = store.create(header, states, replacing=ended_id)
        if existing_id == header.id:
            return header
        snapshot = store.load(existing_id)
        if snapshot is not None and is_active(snapshot):
            return snapshot.header
        ended_id = existing_id
    raise RuntimeError(f"Sessions with the key {header.key!r} ended {_MAX_TRIES} times while another was made.")


def update_task(session_id: str, task_id: str, transition: Transition) -> TaskState | None:
    """Make ``transition`` on one task; its row as it is then, also when the change was dropped; None when it is gone.

    The time that a change hears never runs back, whatever was done to the clock.
    """
    store = progress_store()
    for _ in range(_MAX_TRIES):
        found = store.load_task(session_id, task_id)
        if found is None:
            return None
        state, now = found
        updated = transition(state, max(now, state.since, state.rate.at or 0.0))
        if updated is None:
            return state
        updated = replace(updated, rev=state.rev + 1)
        if store.compare_and_set(session_id, task_id, updated):
            if updated.notify and updated.status.is_ended and updated.status is not state.status:
                for receiver in task_finished_receivers:
                    receiver(session_id, task_id, updated)
            return updated
    raise RuntimeError(
        f"Task {task_id!r} of session {session_id} was changed {_MAX_TRIES} times by others, each in between."
    )


register_sweep(progress_store)
