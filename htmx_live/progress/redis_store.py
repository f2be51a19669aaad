"""``RedisProgressStore``: sessions in Redis, for all processes.

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
from htmx_live.progress.memory_store import KEY_TTL, MAX_CARDS, MAX_LISTED, parse_links
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

__all__ = ["RedisProgressStore"]


_LOAD = Script("""
return {redis.call('HGETALL', KEYS[1]), redis.call('TIME')}
""")

_LOAD_TASK = Script("""
return {redis.call('HMGET', KEYS[1], 'row:' .. ARGV[1], 'beat:' .. ARGV[1]), redis.call('TIME')}
""")

# ARGV: what comes before an id in a session's key, how many
_FIND_BY_OWNER = Script("""
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
_COMPARE_AND_SET = Script(
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
_HEARTBEAT = Script(
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
_ADD_CARD = Script("""
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
_ADD_LIST_CARD = Script("""
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
_LINK_CELERY_TASK = Script("""
redis.call('LREM', KEYS[1], 0, ARGV[1])
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
return redis.call('EXPIRE', KEYS[1], ARGV[3])
""")


class RedisProgressStore:
    """See ``htmx_live.progress.store.ProgressStore``."""

    def __init__(self, connection: RedisConnection | None = None) -> None:
        self._connection = connection

    @property
    def _redis(self) -> RedisConnection:
        return self._connection or redis_connection()

    def create(self, header: SessionHeader, states: dict[str, TaskState], *, replacing: str = "") -> str:
        arguments: list[str] = ["session", encode_header(header)]
        for task, state in states.items():
            arguments += [
                f"rev:{task}",
                str(state.rev),
                f"row:{task}",
                encode_task_state(state),
                f"state:{task}",
                state.status,
            ]
        owner = owner_key(header.owner)
        key_name = self._redis.key("progress", "key", owner, header.key) if header.key else ""
        keys = [self._key(header.id), self._list_key(owner) if owner else "", key_name]
        options: list[str | int | float] = [settings().PROGRESS_TTL, header.created, header.id, MAX_LISTED]
        return str(self._redis.run(_CREATE, keys, [*options, replacing, self._key(""), KEY_TTL, *arguments]))

    def now(self) -> float:
        return _parse_time(self._redis.call("TIME"))

    def load(self, session_id: str) -> SessionSnapshot | None:
        reply, time = self._redis.run(_LOAD, [self._key(session_id)])
        return _parse_snapshot(reply, _parse_time(time))

    def load_task(self, session_id: str, task_id: str) -> tuple[TaskState, float] | None:
        (text, last_heartbeat), time = self._redis.run(_LOAD_TASK, [self._key(session_id)], [task_id])
        return None if text is None else (_parse_task(text, last_heartbeat), _parse_time(time))

    def compare_and_set(self, session_id: str, task_id: str, state: TaskState) -> bool:
        arguments: list[str | int | float] = [
            task_id,
            state.rev - 1,
            encode_task_state(state),
            state.status,
            state.beat,
            settings().PROGRESS_TTL,
        ]
        return bool(self._redis.run(_COMPARE_AND_SET, [self._key(session_id)], arguments))

    def heartbeat(self, session_id: str, task_ids: Iterable[str]) -> set[str]:
        return set(self._redis.run(_HEARTBEAT, [self._key(session_id)], [settings().PROGRESS_TTL, *task_ids]))

    def add_card(self, session_id: str, key: str, card_json: str) -> None:
        self._redis.run(_ADD_CARD, [self._key(session_id)], [f"card:{key}", card_json, MAX_CARDS])

    def link_celery_task(self, celery_task_id: str, session_id: str, task_id: str) -> None:
        name = self._redis.key("progress", "job", celery_task_id)
        self._redis.run(_LINK_CELERY_TASK, [name], [json.dumps([session_id, task_id]), MAX_CARDS, KEY_TTL])

    def find_by_celery_task(self, celery_task_id: str) -> list[tuple[str, str]]:
        return parse_links(self._redis.call("LRANGE", self._redis.key("progress", "job", celery_task_id), 0, -1))

    def find_by_owner(self, owner: str) -> list[SessionSnapshot]:
        replies, time = self._redis.run(_FIND_BY_OWNER, [self._list_key(owner)], [self._key(""), MAX_LISTED])
        found = (_parse_snapshot(reply, _parse_time(time)) for reply in replies)
        return [snapshot for snapshot in found if snapshot is not None]

    def add_list_card(self, owner: str, key: str, card_json: str) -> None:
        self._redis.run(_ADD_LIST_CARD, [self._redis.key("progress", "lists", owner)], [key, card_json])

    def load_list_cards(self, owner: str) -> dict[str, str]:
        reply: Any = self._redis.call("HGETALL", self._redis.key("progress", "lists", owner))
        return dict(reply if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True))

    def _key(self, session_id: str) -> str:
        return self._redis.key("progress", "session", session_id)

    def _list_key(self, owner: str) -> str:
        return self._redis.key("progress", "owner", owner)


def _parse_snapshot(reply: list[str], now: float) -> SessionSnapshot | None:
    """The session in the fields and values of its hash; None without any."""
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    if "session" not in fields:
        return None
    header = decode_header(fields["session"])
    states = {task: _parse_task(fields[f"row:{task}"], fields.get(f"beat:{task}")) for task in header.names}
    shown = {name[5:]: card for name, card in fields.items() if name.startswith("card:")}
    return SessionSnapshot(header=header, states=states, cards=shown, now=now)


def _parse_task(text: str, last_heartbeat: str | None) -> TaskState:
    state = decode_task_state(text)
    return state if last_heartbeat is None else replace(state, beat=max(state.beat, float(last_heartbeat)))


def _parse_time(time: list[str]) -> float:
    return int(time[0]) + int(time[1]) / 1_000_000
