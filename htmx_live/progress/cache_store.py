"""``CacheKeeping``: sessions in one of Django's caches, one key per task, JSON text.

A cache cannot compare and swap: of two processes that change *one* task in the same moment the later one wins, and two
that make a session with *one* key in the moment after another has ended may both make it.  Tasks
are apart from each other, so that two that change different ones lose nothing.  What a cache evicts is gone.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from django.core.cache import caches

from htmx_live.core.conf import settings
from htmx_live.progress.memory_store import KEY_TTL, LISTED, note, read_bound
from htmx_live.progress.model import (
    Kept,
    Row,
    Session,
    decode_row,
    decode_session,
    encode_row,
    encode_session,
    listed_under,
)

__all__ = ["CacheKeeping"]


_SESSION, _SHOWN, _OWNER, _LISTS = "session", "shown", "owner", "lists"


class CacheKeeping:
    """See ``htmx_live.progress.store.Keeping``; ``alias`` names the cache."""

    def __init__(self, alias: str, *, clock: Callable[[], float] = time.time) -> None:
        self._alias, self._clock = alias, clock

    def create(self, session: Session, rows: dict[str, Row], *, instead_of: str = "") -> str:
        if session.key and (there := self._claim(session, instead_of)) != session.id:
            return there
        texts = {_key("row", session.id, task): encode_row(row) for task, row in rows.items()}
        self._cache.set_many({_key(_SESSION, session.id): encode_session(session), **texts}, self._ttl)
        if owner := listed_under(session.owner):
            name = _key(_OWNER, owner)
            self._cache.set(name, [session.id, *self._cache.get(name, [])][:LISTED], self._ttl)
        return session.id

    def now(self) -> float:
        return self._clock()

    def load(self, session: str) -> Kept | None:
        text = self._cache.get(_key(_SESSION, session))
        if text is None:
            return None
        known = decode_session(text)
        names = {_key("row", session, task): task for task in known.names}
        found = self._cache.get_many([*names, _key(_SHOWN, session)])
        rows = {task: decode_row(found[name]) if name in found else Row() for name, task in names.items()}
        return Kept(session=known, rows=rows, shown=found.get(_key(_SHOWN, session), {}), now=self._clock())

    def row(self, session: str, task: str) -> tuple[Row, float] | None:
        text = self._cache.get(_key("row", session, task))
        return None if text is None else (decode_row(text), self._clock())

    def swap(self, session: str, task: str, row: Row) -> bool:
        found = self.row(session, task)
        if found is None or found[0].rev != row.rev - 1:
            return False
        self._cache.set(_key("row", session, task), encode_row(row), self._ttl)
        self._keep(session)
        return True

    def beat(self, session: str, tasks: Iterable[str]) -> set[str]:
        running = set()
        for task in tasks:
            found = self.row(session, task)
            if found is not None and found[0].status.is_running:
                running.add(task)
                self._cache.set(_key("row", session, task), encode_row(replace(found[0], beat=found[1])), self._ttl)
        if running:
            self._keep(session)
        return running

    def show(self, session: str, key: str, card: str) -> None:
        name = _key(_SHOWN, session)
        self._cache.set(name, note(self._cache.get(name, {}), key, card), self._ttl)

    def bind(self, job: str, session: str, task: str) -> None:
        name = _key("job", job)
        self._cache.set(name, note(self._cache.get(name, {}), json.dumps([session, task]), "1"), KEY_TTL)

    def bound(self, job: str) -> list[tuple[str, str]]:
        return read_bound(self._cache.get(_key("job", job), {}))

    def of_owner(self, owner: str) -> list[Kept]:
        found = map(self.load, self._cache.get(_key(_OWNER, owner), []))
        return [kept for kept in found if kept is not None]

    def show_list(self, owner: str, key: str, card: str) -> None:
        name = _key(_LISTS, owner)
        self._cache.set(name, note(self._cache.get(name, {}), key, card), 86_400)

    def shown_lists(self, owner: str) -> dict[str, str]:
        found: dict[str, str] = self._cache.get(_key(_LISTS, owner), {})
        return found

    def _claim(self, session: Session, instead_of: str) -> str:
        """The session that has the key now: another one that is kept, or this one."""
        name = _key("key", listed_under(session.owner), session.key)
        if self._cache.add(name, session.id, KEY_TTL):
            return session.id
        there = str(self._cache.get(name, ""))
        if there not in ("", instead_of) and self._cache.get(_key(_SESSION, there)) is not None:
            return there
        self._cache.set(name, session.id, KEY_TTL)
        return session.id

    def _keep(self, session: str) -> None:
        known = self._cache.get(_key(_SESSION, session))
        others = decode_session(known).names if known is not None else {}
        for name in [_key(_SESSION, session), _key(_SHOWN, session), *(_key("row", session, one) for one in others)]:
            self._cache.touch(name, self._ttl)

    @property
    def _cache(self) -> Any:
        return caches[self._alias]

    @property
    def _ttl(self) -> float:
        return settings().PROGRESS_TTL


def _key(*words: str) -> str:
    """Not longer than the 250 characters that Memcached takes."""
    return "htmx_live.progress." + blake2b("\0".join(words).encode(errors="surrogatepass"), digest_size=16).hexdigest()
