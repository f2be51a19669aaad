"""``MemoryKeeping``: sessions in this process's memory.  One lock, under which nobody waits."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from htmx_live.core.conf import settings
from htmx_live.progress.model import Kept, Row, Session, listed_under

__all__ = ["KEY_TTL", "LISTED", "MAX_SHOWN", "MemoryKeeping", "note", "read_bound"]


MAX_SHOWN = 32  # kinds of cards of one session
LISTED = 100  # sessions of one owner
KEY_TTL = 604_800  # seconds for which it is known, outside of this process, which session has a key
_MAX_SESSIONS = 10_000


@dataclass(slots=True)
class _Entry:
    session: Session
    rows: dict[str, Row]
    touched: float
    shown: dict[str, str] = field(default_factory=dict)


def _steady() -> Callable[[], float]:
    """Seconds since 1970 that never step, whatever is done to the machine's clock."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


class MemoryKeeping:
    """See ``htmx_live.progress.store.Keeping``."""

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or _steady()
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # used longest ago first
        self._keys: dict[tuple[str, str], str] = {}  # owner and key -> session
        self._lists: OrderedDict[str, dict[str, str]] = OrderedDict()  # by owner
        self._jobs: OrderedDict[str, dict[str, str]] = OrderedDict()  # Celery task -> its tasks, as JSON

    def create(self, session: Session, rows: dict[str, Row], *, instead_of: str = "") -> str:
        with self._lock:
            if session.key:
                there = self._keys.get(_key(session), "")
                if there != instead_of and self._entry(there) is not None:
                    return there
                self._keys[_key(session)] = session.id
            self._entries[session.id] = _Entry(session, dict(rows), self._clock())
            self._expire()
            return session.id

    def sweep(self) -> None:
        """Drop what has expired, also while nothing new is made.  Called every few seconds."""
        with self._lock:
            self._expire()

    def now(self) -> float:
        return self._clock()

    def load(self, session: str) -> Kept | None:
        with self._lock:
            entry = self._entry(session)
            return None if entry is None else self._kept(entry)

    def row(self, session: str, task: str) -> tuple[Row, float] | None:
        with self._lock:
            entry = self._entry(session)
            row = None if entry is None else entry.rows.get(task)
            return None if row is None else (row, self._clock())

    def swap(self, session: str, task: str, row: Row) -> bool:
        with self._lock:
            entry = self._entry(session)
            if entry is None or task not in entry.rows or entry.rows[task].rev != row.rev - 1:
                return False
            entry.rows[task] = row
            self._touch(entry)
            return True

    def beat(self, session: str, tasks: Iterable[str]) -> set[str]:
        with self._lock:
            entry = self._entry(session)
            if entry is None:
                return set()
            running = {task for task in tasks if task in entry.rows and entry.rows[task].status.is_running}
            for task in running:
                entry.rows[task] = replace(entry.rows[task], beat=self._clock())
            if running:
                self._touch(entry)
            return running

    def show(self, session: str, key: str, card: str) -> None:
        with self._lock:
            entry = self._entry(session)
            if entry is not None:
                note(entry.shown, key, card)

    def bind(self, job: str, session: str, task: str) -> None:
        with self._lock:
            note(self._jobs.setdefault(job, {}), json.dumps([session, task]), "1")
            while len(self._jobs) > _MAX_SESSIONS:
                self._jobs.popitem(last=False)

    def bound(self, job: str) -> list[tuple[str, str]]:
        with self._lock:
            return read_bound(self._jobs.get(job, {}))

    def of_owner(self, owner: str) -> list[Kept]:
        with self._lock:
            entries = [entry for entry in self._entries.values() if listed_under(entry.session.owner) == owner]
            alive = [entry for entry in entries if not self._is_over(entry)]
            newest = sorted(alive, key=lambda entry: -entry.session.created)[:LISTED]
            return [self._kept(entry) for entry in newest]

    def show_list(self, owner: str, key: str, card: str) -> None:
        with self._lock:
            note(self._lists.setdefault(owner, {}), key, card)
            self._lists.move_to_end(owner)
            while len(self._lists) > _MAX_SESSIONS:
                self._lists.popitem(last=False)

    def shown_lists(self, owner: str) -> dict[str, str]:
        with self._lock:
            return dict(self._lists.get(owner, {}))

    def _entry(self, session: str) -> _Entry | None:
        entry = self._entries.get(session)
        return None if entry is None or self._is_over(entry) else entry

    def _kept(self, entry: _Entry) -> Kept:
        return Kept(session=entry.session, rows=dict(entry.rows), shown=dict(entry.shown), now=self._clock())

    def _is_over(self, entry: _Entry) -> bool:
        return entry.touched + settings().PROGRESS_TTL <= self._clock()

    def _touch(self, entry: _Entry) -> None:
        entry.touched = self._clock()
        self._entries.move_to_end(entry.session.id)

    def _expire(self) -> None:
        while self._entries:
            entry = next(iter(self._entries.values()))
            if len(self._entries) <= _MAX_SESSIONS and not self._is_over(entry):
                return
            self._entries.popitem(last=False)
            if self._keys.get(_key(entry.session)) == entry.session.id:
                del self._keys[_key(entry.session)]


def _key(session: Session) -> tuple[str, str]:
    return listed_under(session.owner), session.key


def read_bound(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Sessions and tasks of JSON texts."""
    return [(session, task) for session, task in map(json.loads, texts)]


def note(shown: dict[str, str], key: str, card: str) -> dict[str, str]:
    """``shown`` with one more kind of card; of too many the first goes."""
    shown[key] = card
    while len(shown) > MAX_SHOWN:
        del shown[next(iter(shown))]
    return shown
