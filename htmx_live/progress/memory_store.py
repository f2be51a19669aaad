"""``MemoryProgressStore``: sessions in this process's memory.  One lock, under which nobody waits."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from htmx_live.core.conf import settings
from htmx_live.progress.model import SessionHeader, SessionSnapshot, TaskState, owner_key

__all__ = ["KEY_TTL", "MAX_CARDS", "MAX_LISTED", "MemoryProgressStore", "add_bounded", "parse_links"]


MAX_CARDS = 32  # kinds of cards of one session
MAX_LISTED = 100  # sessions of one owner
KEY_TTL = 604_800  # seconds for which it is known, outside of this process, which session has a key
_MAX_SESSIONS = 10_000


@dataclass(slots=True)
class _Entry:
    header: SessionHeader
    states: dict[str, TaskState]
    touched: float
    cards: dict[str, str] = field(default_factory=dict)


def _steady_clock() -> Callable[[], float]:
    """Seconds since 1970 that never step, whatever is done to the machine's clock."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class MemoryProgressStore:
    """See ``htmx_live.progress.store.ProgressStore``."""

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or _steady_clock()
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # used longest ago first
        self._keys: dict[tuple[str, str], str] = {}  # owner and key -> session
        self._list_cards: OrderedDict[str, dict[str, str]] = OrderedDict()  # by owner
        self._celery_links: OrderedDict[str, dict[str, str]] = OrderedDict()  # Celery task -> its tasks, as JSON

    def create(self, header: SessionHeader, states: dict[str, TaskState], *, replacing: str = "") -> str:
        with self._lock:
            if header.key:
                existing_id = self._keys.get(_key(header), "")
                if existing_id != replacing and self._entry(existing_id) is not None:
                    return existing_id
                self._keys[_key(header)] = header.id
            self._entries[header.id] = _Entry(header, dict(states), self._clock())
            self._drop_expired()
            return header.id

    def sweep(self) -> None:
        """Drop what has expired, also while nothing new is made.  Called every few seconds."""
        with self._lock:
            self._drop_expired()

    def now(self) -> float:
        return self._clock()

    def load(self, session_id: str) -> SessionSnapshot | None:
        with self._lock:
            entry = self._entry(session_id)
            return None if entry is None else self._snapshot(entry)

    def load_task(self, session_id: str, task_id: str) -> tuple[TaskState, float] | None:
        with self._lock:
            entry = self._entry(session_id)
            state = None if entry is None else entry.states.get(task_id)
            return None if state is None else (state, self._clock())

    def compare_and_set(self, session_id: str, task_id: str, state: TaskState) -> bool:
        with self._lock:
            entry = self._entry(session_id)
            if entry is None or task_id not in entry.states or entry.states[task_id].rev != state.rev - 1:
                return False
            entry.states[task_id] = state
            self._touch(entry)
            return True

    def heartbeat(self, session_id: str, task_ids: Iterable[str]) -> set[str]:
        with self._lock:
            entry = self._entry(session_id)
            if entry is None:
                return set()
            running = {task for task in task_ids if task in entry.states and entry.states[task].status.is_running}
            for task in running:
                entry.states[task] = replace(entry.states[task], beat=self._clock())
            if running:
                self._touch(entry)
            return running

    def add_card(self, session_id: str, key: str, card_json: str) -> None:
        with self._lock:
            entry = self._entry(session_id)
            if entry is not None:
                add_bounded(entry.cards, key, card_json)

    def link_celery_task(self, celery_task_id: str, session_id: str, task_id: str) -> None:
        with self._lock:
            add_bounded(self._celery_links.setdefault(celery_task_id, {}), json.dumps([session_id, task_id]), "1")
            while len(self._celery_links) > _MAX_SESSIONS:
                self._celery_links.popitem(last=False)

    def find_by_celery_task(self, celery_task_id: str) -> list[tuple[str, str]]:
        with self._lock:
            return parse_links(self._celery_links.get(celery_task_id, {}))

    def find_by_owner(self, owner: str) -> list[SessionSnapshot]:
        with self._lock:
            entries = [entry for entry in self._entries.values() if owner_key(entry.header.owner) == owner]
            alive = [entry for entry in entries if not self._is_expired(entry)]
            newest = sorted(alive, key=lambda entry: -entry.header.created)[:MAX_LISTED]
            return [self._snapshot(entry) for entry in newest]

    def add_list_card(self, owner: str, key: str, card_json: str) -> None:
        with self._lock:
            add_bounded(self._list_cards.setdefault(owner, {}), key, card_json)
            self._list_cards.move_to_end(owner)
            while len(self._list_cards) > _MAX_SESSIONS:
                self._list_cards.popitem(last=False)

    def load_list_cards(self, owner: str) -> dict[str, str]:
        with self._lock:
            return dict(self._list_cards.get(owner, {}))

    def _entry(self, session_id: str) -> _Entry | None:
        entry = self._entries.get(session_id)
        return None if entry is None or self._is_expired(entry) else entry

    def _snapshot(self, entry: _Entry) -> SessionSnapshot:
        return SessionSnapshot(
            header=entry.header, states=dict(entry.states), cards=dict(entry.cards), now=self._clock()
        )

    def _is_expired(self, entry: _Entry) -> bool:
        return entry.touched + settings().PROGRESS_TTL <= self._clock()

    def _touch(self, entry: _Entry) -> None:
        entry.touched = self._clock()
        self._entries.move_to_end(entry.header.id)

    def _drop_expired(self) -> None:
        while self._entries:
            entry = next(iter(self._entries.values()))
            if len(self._entries) <= _MAX_SESSIONS and not self._is_expired(entry):
                return
            self._entries.popitem(last=False)
            if self._keys.get(_key(entry.header)) == entry.header.id:
                del self._keys[_key(entry.header)]


def _key(header: SessionHeader) -> tuple[str, str]:
    return owner_key(header.owner), header.key


def parse_links(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Sessions and tasks of JSON texts."""
    return [(session, task) for session, task in map(json.loads, texts)]


def add_bounded(entries: dict[str, str], key: str, value: str) -> dict[str, str]:
    """``shown`` with one more kind of card; of too many the first goes."""
    entries[key] = value
    while len(entries) > MAX_CARDS:
        del entries[next(iter(entries))]
    return entries
