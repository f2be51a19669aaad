"""``RedisKeeping``: sessions in Redis, for all processes.

``session:ID`` is a hash: ``session`` and ``row:TASK`` are JSON texts, ``rev:TASK`` and ``state:TASK`` repeat what the
scripts compare, ``beat:TASK`` is a sign of life, ``card:KEY`` what is on pages.  Every script is one step, tells its
time by Redis's own clock and sets the time to live.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from htmx_live.backends.redis.client import RedisConnection, Script, redis_connection
from htmx_live.core.conf import settings
from htmx_live.progress.memory_store import KEY_TTL, LISTED, MAX_SHOWN, read_bound
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

__all__ = ["RedisKeeping"]


_LOAD = Script("""
return {redis.call('HGETALL', KEYS[1]), redis.call('TIME')}
""")

_ROW = Script("""
return {redis.call('HMGET', KEYS[1], 'row:' .. ARGV[1], 'beat:' .. ARGV[1]), redis.call('TIME')}
""")

# ARGV: what comes before an id in a session's key, how many
_OF_OWNER = Script("""
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local fields = redis.call('HGETALL', ARGV[1] .. id)
  if #fields > 0 then found[#found + 1] = fields end
end
return {found, redis.call('TIME')}
""")

# A session lives on, and so does its owner's list, which is to last as long as the last session in it.
_RENEW = """
local function renew(session, ttl)
  redis.call('EXPIRE', session, ttl)
  local list = redis.call('HGET', session, 'list')
  if list then redis.call('EXPIRE', list, ttl) end
end
"""

# ARGV: task, the rev that is expected, row, status, beat, ttl
_SWAP = Script(
    _RENEW
    + """
if redis.call('HGET', KEYS[1], 'rev:' .. ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'rev:' .. ARGV[1], ARGV[2] + 1, 'row:' .. ARGV[1], ARGV[3], 'state:' .. ARGV[1], ARGV[4],
  'beat:' .. ARGV[1], ARGV[5])
renew(KEYS[1], ARGV[6])
return 1
"""
)

# ARGV: ttl, tasks…
_BEAT = Script(
    _RENEW
    + """
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
local running = {}
for i = 2, #ARGV do
  local state = redis.call('HGET', KEYS[1], 'state:' .. ARGV[i])
  if state == 'running' or state == 'retrying' then
    redis.call('HSET', KEYS[1], 'beat:' .. ARGV[i], now)
    running[#running + 1] = ARGV[i]
  end
end
if #running > 0 then renew(KEYS[1], ARGV[1]) end
return running
"""
)

# ARGV: field, card, the most fields of a kind
_SHOW = Script("""
if redis.call('HEXISTS', KEYS[1], 'session') == 0 then return 0 end
local cards = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, 5) == 'card:' and name ~= ARGV[1] then cards[#cards + 1] = name end
end
if #cards >= tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], cards[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
""")

# ARGV: key, card
_SHOW_LIST = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('EXPIRE', KEYS[1], 86400)
""")

# KEYS: session, the owner's list or '', what the key names or ''
# ARGV: ttl, created, id, the most that are listed, the session that may go, what comes before an id in a session's key,
# how long a key is known, then fields and values of the session
_CREATE = Script(
    _RENEW
    + """
if KEYS[3] ~= '' then
  local there = redis.call('GET', KEYS[3])
  if there and there ~= ARGV[5] and redis.call('EXISTS', ARGV[6] .. there) == 1 then return there end
  redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[7])
end
redis.call('DEL', KEYS[1])
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if KEYS[2] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ARGV[4] - 1)
  redis.call('HSET', KEYS[1], 'list', KEYS[2])
end
renew(KEYS[1], ARGV[1])
return ARGV[3]
"""
)


# ARGV: session and task, the most of them, ttl
_BIND = Script("""
redis.call('LREM', KEYS[1], 0, ARGV[1])
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
return redis.call('EXPIRE', KEYS[1], ARGV[3])
""")


class RedisKeeping:
    """See ``htmx_live.progress.store.Keeping``."""

    def __init__(self, connection: RedisConnection | None = None) -> None:
        self._chosen = connection

    @property
    def _redis(self) -> RedisConnection:
        return self._chosen or redis_connection()

    def create(self, session: Session, rows: dict[str, Row], *, instead_of: str = "") -> str:
        words: list[str] = ["session", encode_session(session)]
        for task, row in rows.items():
            words += [f"rev:{task}", str(row.rev), f"row:{task}", encode_row(row), f"state:{task}", row.status]
        owner = listed_under(session.owner)
        named = self._redis.key("progress", "key", owner, session.key) if session.key else ""
        keys = [self._key(session.id), self._list_key(owner) if owner else "", named]
        facts: list[str | int | float] = [settings().PROGRESS_TTL, session.created, session.id, LISTED]
        return str(self._redis.run(_CREATE, keys, [*facts, instead_of, self._key(""), KEY_TTL, *words]))

    def now(self) -> float:
        return _seconds(self._redis.call("TIME"))

    def load(self, session: str) -> Kept | None:
        answer, time = self._redis.run(_LOAD, [self._key(session)])
        return _kept(answer, _seconds(time))

    def row(self, session: str, task: str) -> tuple[Row, float] | None:
        (text, beat), time = self._redis.run(_ROW, [self._key(session)], [task])
        return None if text is None else (_row(text, beat), _seconds(time))

    def swap(self, session: str, task: str, row: Row) -> bool:
        words: list[str | int | float] = [
            task,
            row.rev - 1,
            encode_row(row),
            row.status,
            row.beat,
            settings().PROGRESS_TTL,
        ]
        return bool(self._redis.run(_SWAP, [self._key(session)], words))

    def beat(self, session: str, tasks: Iterable[str]) -> set[str]:
        return set(self._redis.run(_BEAT, [self._key(session)], [settings().PROGRESS_TTL, *tasks]))

    def show(self, session: str, key: str, card: str) -> None:
        self._redis.run(_SHOW, [self._key(session)], [f"card:{key}", card, MAX_SHOWN])

    def bind(self, job: str, session: str, task: str) -> None:
        name = self._redis.key("progress", "job", job)
        self._redis.run(_BIND, [name], [json.dumps([session, task]), MAX_SHOWN, KEY_TTL])

    def bound(self, job: str) -> list[tuple[str, str]]:
        return read_bound(self._redis.call("LRANGE", self._redis.key("progress", "job", job), 0, -1))

    def of_owner(self, owner: str) -> list[Kept]:
        answers, time = self._redis.run(_OF_OWNER, [self._list_key(owner)], [self._key(""), LISTED])
        found = (_kept(answer, _seconds(time)) for answer in answers)
        return [kept for kept in found if kept is not None]

    def show_list(self, owner: str, key: str, card: str) -> None:
        self._redis.run(_SHOW_LIST, [self._redis.key("progress", "lists", owner)], [key, card])

    def shown_lists(self, owner: str) -> dict[str, str]:
        answer: Any = self._redis.call("HGETALL", self._redis.key("progress", "lists", owner))
        return dict(answer if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True))

    def _key(self, session: str) -> str:
        return self._redis.key("progress", "session", session)

    def _list_key(self, owner: str) -> str:
        return self._redis.key("progress", "owner", owner)


def _kept(answer: list[str], now: float) -> Kept | None:
    """The session in the fields and values of its hash; None without any."""
    fields = dict(zip(answer[::2], answer[1::2], strict=True))
    if "session" not in fields:
        return None
    known = decode_session(fields["session"])
    rows = {task: _row(fields[f"row:{task}"], fields.get(f"beat:{task}")) for task in known.names}
    shown = {name[5:]: card for name, card in fields.items() if name.startswith("card:")}
    return Kept(session=known, rows=rows, shown=shown, now=now)


def _row(text: str, beat: str | None) -> Row:
    row = decode_row(text)
    return row if beat is None else replace(row, beat=max(row.beat, float(beat)))


def _seconds(time: list[str]) -> float:
    return int(time[0]) + int(time[1]) / 1_000_000
