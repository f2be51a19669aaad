"""Unread notices: what one user, or one visitor, has not been shown yet.

One list for each owner, oldest first.  A notice leaves it when it was seen, when one with the same key is added, when
the list is full (the oldest goes), and after ``NOTICE_TTL``.  Each method is one step, whoever else calls.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Protocol

from htmx_live.backends.redis.client import RedisConnection, Script, redis_connection
from htmx_live.core.conf import settings

__all__ = [
    "MemoryNoticeStore",
    "NoticeStore",
    "RedisNoticeStore",
    "StoredNotice",
    "notice_store",
    "override_notice_store",
]


_MAX_OWNERS = 10_000  # with unread notices in one process's memory; who was told longest ago goes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotice:
    """A notice that waits; ``key`` tells what it is about, and is never empty."""

    id: str
    key: str
    message: str
    level: str
    url: str = ""


class NoticeStore(Protocol):
    """``owner`` is the name of a channel.  Every method may raise ``StoreUnavailable``."""

    def add(self, owner: str, notice: StoredNotice) -> list[str]:
        """Keep it; returns the ids of those that went for it."""

    def unread(self, owner: str) -> list[StoredNotice]:
        """Oldest first."""

    def remove(self, owner: str, ids: Iterable[str]) -> list[str]:
        """Those of ``ids`` that were there are no longer; returns them."""


class MemoryNoticeStore:
    """The notices of one process; ``clock`` in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._owners: OrderedDict[str, list[tuple[float, StoredNotice]]] = OrderedDict()  # with the time of its end

    def add(self, owner: str, notice: StoredNotice) -> list[str]:
        limits = settings()
        with self._lock:
            rows = self._unexpired(owner)
            others = [row for row in rows if row[1].key != notice.key]
            kept = others[max(0, len(others) + 1 - limits.MAX_NOTICES) :]
            self._owners[owner] = [*kept, (self._clock() + limits.NOTICE_TTL, notice)]
            self._owners.move_to_end(owner)
            while len(self._owners) > _MAX_OWNERS or not self._unexpired(next(iter(self._owners))):
                self._owners.popitem(last=False)
            return [row[1].id for row in rows if row not in kept]

    def unread(self, owner: str) -> list[StoredNotice]:
        with self._lock:
            return [notice for _, notice in self._unexpired(owner)]

    def remove(self, owner: str, ids: Iterable[str]) -> list[str]:
        removed_ids = set(ids)
        with self._lock:
            rows = self._unexpired(owner)
            self._owners[owner] = [row for row in rows if row[1].id not in removed_ids]
            if not self._owners[owner]:
                del self._owners[owner]
            return [notice.id for _, notice in rows if notice.id in removed_ids]

    def _unexpired(self, owner: str) -> list[tuple[float, StoredNotice]]:
        now = self._clock()
        return [row for row in self._owners.get(owner, []) if row[0] > now]


# A row is "END ID MARK JSON": the time of its end by Redis's clock, and a digest of its key.
_ADD_SCRIPT = Script("""
local now, gone = tonumber(redis.call('TIME')[1]), {}
local function drop(row)
  redis.call('LREM', KEYS[1], 1, row)
  table.insert(gone, string.match(row, '^%d+ (%S+)'))
end
for _, row in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local ends, mark = string.match(row, '^(%d+) %S+ (%S+)')
  if tonumber(ends) <= now or mark == ARGV[2] then drop(row) end
end
while redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[5]) do drop(redis.call('LINDEX', KEYS[1], 0)) end
local row = string.format('%.0f %s %s %s', now + tonumber(ARGV[4]), ARGV[1], ARGV[2], ARGV[3])
redis.call('RPUSH', KEYS[1], row)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return gone
""")
_UNREAD_SCRIPT = Script("""
local now, found = tonumber(redis.call('TIME')[1]), {}
for _, row in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local ends, text = string.match(row, '^(%d+) %S+ %S+ (.*)$')
  if tonumber(ends) > now then table.insert(found, text) end
end
return found
""")
_REMOVE_SCRIPT = Script("""
local gone = {}
for _, row in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local id = string.match(row, '^%d+ (%S+)')
  for _, wanted in ipairs(ARGV) do
    if id == wanted then
      redis.call('LREM', KEYS[1], 1, row)
      table.insert(gone, id)
      break
    end
  end
end
return gone
""")


class RedisNoticeStore:
    """The notices of all processes, one list in Redis for each owner."""

    def __init__(self, connection: RedisConnection | None = None) -> None:
        self._connection = connection or redis_connection()

    def add(self, owner: str, notice: StoredNotice) -> list[str]:
        limits = settings()
        key_digest = blake2b(notice.key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        args = (notice.id, key_digest, json.dumps(asdict(notice)), int(limits.NOTICE_TTL), limits.MAX_NOTICES)
        return [str(gone) for gone in self._run(_ADD_SCRIPT, owner, args)]

    def unread(self, owner: str) -> list[StoredNotice]:
        return [StoredNotice(**json.loads(text)) for text in self._run(_UNREAD_SCRIPT, owner)]

    def remove(self, owner: str, ids: Iterable[str]) -> list[str]:
        return [str(gone) for gone in self._run(_REMOVE_SCRIPT, owner, tuple(ids))]

    def _run(self, script: Script, owner: str, args: Iterable[str | int] = ()) -> list[str]:
        result: list[str] = self._connection.run(script, [self._connection.key("notices", owner)], args)
        return result


_memory_store: NoticeStore = MemoryNoticeStore()
_override: NoticeStore | None = None


def notice_store() -> NoticeStore:
    """Where this process keeps notices: in Redis with ``REDIS_URL``, otherwise in its memory."""
    if _override is not None:
        return _override
    return RedisNoticeStore() if settings().REDIS_URL else _memory_store


@contextmanager
def override_notice_store(other: NoticeStore) -> Iterator[NoticeStore]:
    """Another place for a while; for tests."""
    global _override
    before, _override = _override, other
    try:
        yield other
    finally:
        _override = before
