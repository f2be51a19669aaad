"""``CacheProgressStore``: sessions in one of Django's caches, one key per task, JSON text.

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
from htmx_live.progress.memory_store import KEY_TTL, MAX_LISTED, add_bounded, parse_links
from htmx_live.progress.model import (
    SessionHeader,
    SessionSnapshot,
    TaskState,
    decode_header,
    decode_task_state,
    encode_header,
    encode_task_state,
    owner_key,
)

__all__ = ["CacheProgressStore"]


_SESSION, _CARDS, _OWNER, _LISTS = "session", "shown", "owner", "lists"


class CacheProgressStore:
    """See ``htmx_live.progress.store.ProgressStore``; ``alias`` names the cache."""

    def __init__(self, alias: str, *, clock: Callable[[], float] = time.time) -> None:
        self._alias, self._clock = alias, clock

    def create(self, header: SessionHeader, states: dict[str, TaskState], *, replacing: str = "") -> str:
        if header.key and (existing_id := self._claim_key(header, replacing)) != header.id:
            return existing_id
        texts = {_key("row", header.id, task): encode_task_state(state) for task, state in states.items()}
        self._cache.set_many({_key(_SESSION, header.id): encode_header(header), **texts}, self._ttl)
        if owner := owner_key(header.owner):
            name = _key(_OWNER, owner)
            self._cache.set(name, [header.id, *self._cache.get(name, [])][:MAX_LISTED], self._ttl)
        return header.id

    def now(self) -> float:
        return self._clock()

    def load(self, session_id: str) -> SessionSnapshot | None:
        text = self._cache.get(_key(_SESSION, session_id))
        if text is None:
            return None
        header = decode_header(text)
        names = {_key("row", session_id, task): task for task in header.names}
        found = self._cache.get_many([*names, _key(_CARDS, session_id)])
        states = {
            task: decode_task_state(found[name]) if name in found else TaskState() for name, task in names.items()
        }
        return SessionSnapshot(
            header=header, states=states, cards=found.get(_key(_CARDS, session_id), {}), now=self._clock()
        )

    def load_task(self, session_id: str, task_id: str) -> tuple[TaskState, float] | None:
        text = self._cache.get(_key("row", session_id, task_id))
        return None if text is None else (decode_task_state(text), self._clock())

    def compare_and_set(self, session_id: str, task_id: str, state: TaskState) -> bool:
        found = self.load_task(session_id, task_id)
        if found is None or found[0].rev != state.rev - 1:
            return False
        self._cache.set(_key("row", session_id, task_id), encode_task_state(state), self._ttl)
        self._renew(session_id)
        return True

    def heartbeat(self, session_id: str, task_ids: Iterable[str]) -> set[str]:
        running = set()
        for task in task_ids:
            found = self.load_task(session_id, task)
            if found is not None and found[0].status.is_running:
                running.add(task)
                self._cache.set(
                    _key("row", session_id, task), encode_task_state(replace(found[0], beat=found[1])), self._ttl
                )
        if running:
            self._renew(session_id)
        return running

    def add_card(self, session_id: str, key: str, card_json: str) -> None:
        name = _key(_CARDS, session_id)
        self._cache.set(name, add_bounded(self._cache.get(name, {}), key, card_json), self._ttl)

    def link_celery_task(self, celery_task_id: str, session_id: str, task_id: str) -> None:
        name = _key("job", celery_task_id)
        self._cache.set(name, add_bounded(self._cache.get(name, {}), json.dumps([session_id, task_id]), "1"), KEY_TTL)

    def find_by_celery_task(self, celery_task_id: str) -> list[tuple[str, str]]:
        return parse_links(self._cache.get(_key("job", celery_task_id), {}))

    def find_by_owner(self, owner: str) -> list[SessionSnapshot]:
        found = map(self.load, self._cache.get(_key(_OWNER, owner), []))
        return [snapshot for snapshot in found if snapshot is not None]

    def add_list_card(self, owner: str, key: str, card_json: str) -> None:
        name = _key(_LISTS, owner)
        self._cache.set(name, add_bounded(self._cache.get(name, {}), key, card_json), 86_400)

    def load_list_cards(self, owner: str) -> dict[str, str]:
        found: dict[str, str] = self._cache.get(_key(_LISTS, owner), {})
        return found

    def _claim_key(self, header: SessionHeader, replacing: str) -> str:
        """The session that has the key now: another one that is kept, or this one."""
        name = _key("key", owner_key(header.owner), header.key)
        if self._cache.add(name, header.id, KEY_TTL):
            return header.id
        existing_id = str(self._cache.get(name, ""))
        if existing_id not in ("", replacing) and self._cache.get(_key(_SESSION, existing_id)) is not None:
            return existing_id
        self._cache.set(name, header.id, KEY_TTL)
        return header.id

    def _renew(self, session_id: str) -> None:
        header_json = self._cache.get(_key(_SESSION, session_id))
        others = decode_header(header_json).names if header_json is not None else {}
        for name in [
            _key(_SESSION, session_id),
            _key(_CARDS, session_id),
            *(_key("row", session_id, one) for one in others),
        ]:
            self._cache.touch(name, self._ttl)

    @property
    def _cache(self) -> Any:
        return caches[self._alias]

    @property
    def _ttl(self) -> float:
        return settings().PROGRESS_TTL


def _key(*parts: str) -> str:
    """Not longer than the 250 characters that Memcached takes."""
    return "htmx_live.progress." + blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
