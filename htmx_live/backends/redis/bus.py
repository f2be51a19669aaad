"""``RedisBus``: the bus of many processes, on one Redis.

What ``MemoryBus`` does under a lock is a Lua script here, so numbering, keeping and publishing are one step for all
processes.  A script publishes to one pub/sub channel; every process with streams has one subscription to it, and gets
its own messages that way too.  The clock is Redis's own.

What the bus's scripts share: the functions that number, keep, publish and read inside Redis.

They do what ``MemoryBus`` does under its lock.  ``KEYS`` are the epoch's key and the root of all others, which are made
here from channels and targets (so: Redis with Sentinel, not Cluster).  Below the root:

    head                 hash: number, floor
    channels             sorted set: every channel that keeps something, by the time of its last use
    log:CHANNEL          hash: floor, and by "EVENT TARGET" the slots and the data of the newest message
    order:CHANNEL        sorted set: the same "EVENT TARGET" by number
    joined:CHANNEL       hash: of a page's channel, those that it joined, each with the number of that moment
    texts, targets       sorted sets: every text's target, by the time of its last change, and by name
    text:TARGET          string: the text; meta:TARGET, marks:TARGET: see ``GrowingText``, with bytes beside characters

A number is the time in microseconds, or one more than the last: where Redis comes back with data that is older than
what it had said, or has lost the counter, no number is given twice.  Everything has a lifetime, twice as long as the
scripts themselves keep it: it is for what no script comes to look after any more.

The bus's scripts, one for each call; see ``redis_prelude`` for keys and functions.

The first six arguments are the same for all; a comment above each names those that follow.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from htmx_live.backends.base import Subscriber
from htmx_live.backends.redis.client import RedisConnection, Script, redis_connection
from htmx_live.backends.redis.subscription import RedisSubscription, fill_texts
from htmx_live.backends.wire import (
    APPEND,
    BusMessage,
    Replay,
    TextSnapshot,
    encode_append,
    page_channel,
    validate_channels,
    validate_event,
)
from htmx_live.core.conf import settings
from htmx_live.core.fragments import fill_text_placeholders

__all__ = [
    "PRELUDE",
    "RedisBus",
]


PRELUDE = r"""
-- ARGV: 1 an epoch, if there is none; 2 the time in seconds, or ''; 3, 4 lifetimes of logs and of texts in seconds;
-- 5 messages kept in a channel; 6 the pub/sub channel
local root, call = KEYS[2], redis.call
local log_ttl, text_ttl, most, outlet = ARGV[3] * 1000, ARGV[4] * 1000, tonumber(ARGV[5]), ARGV[6]

local micros  -- what numbers begin at
if ARGV[2] ~= '' then
  micros = math.floor(ARGV[2] * 1000000)
else
  local time = call('TIME')
  micros = time[1] * 1000000 + time[2]
end
local now = math.floor(micros / 1000)  -- what lifetimes count in

local function digits(n) return string.format('%.0f', n) end  -- a Lua number has 53 bits, but shows 14 digits

call('SET', KEYS[1], ARGV[1], 'NX')
local epoch = call('GET', KEYS[1])
local number, floor = unpack(call('HMGET', root .. 'head', 'number', 'floor'))
number, floor = tonumber(number), tonumber(floor)
if not number then  -- new, or lost: nobody stands where we can tell what is missing
  number, floor = micros, micros
  call('HSET', root .. 'head', 'number', digits(number), 'floor', digits(floor))
  call('PEXPIRE', root .. 'head', 2 * math.max(log_ttl, text_ttl))
end

local function count_up()
  number = math.max(number + 1, micros)
  call('HSET', root .. 'head', 'number', digits(number))
  call('PEXPIRE', root .. 'head', 2 * math.max(log_ttl, text_ttl))
end

local function raise_floor(to)
  if to > floor then
    floor = to
    call('HSET', root .. 'head', 'floor', digits(floor))
  end
end

-- Channels

local function touch(name)
  local log, order = root .. 'log:' .. name, root .. 'order:' .. name
  if call('HEXISTS', log, 'floor') == 0 then
    -- A channel that we know of without its log: Redis has evicted it, and with it we do not know what.
    call('HSET', log, 'floor', call('ZSCORE', root .. 'channels', name) and number or 0)
  end
  call('ZADD', root .. 'channels', now, name)
  for _, key in ipairs({log, order, root .. 'joined:' .. name, root .. 'channels'}) do
    call('PEXPIRE', key, 2 * log_ttl)
  end
end

local function is_known(name) return call('ZSCORE', root .. 'channels', name) ~= false end

local function floor_of(name) return tonumber(call('HGET', root .. 'log:' .. name, 'floor') or 0) end

local function newest_of(name)  -- the number of the last message, kept or not
  local newest = call('ZREVRANGE', root .. 'order:' .. name, 0, 0, 'WITHSCORES')[2]
  return math.max(floor_of(name), tonumber(newest or 0))
end

local function drop(name, member)
  call('ZREM', root .. 'order:' .. name, member)
  call('HDEL', root .. 'log:' .. name, member)
end

local function keep(names, member, value)
  for _, name in ipairs(names) do
    local log, order = root .. 'log:' .. name, root .. 'order:' .. name
    call('HSET', log, member, value)
    call('ZADD', order, number, member)
    if call('ZCARD', order) > most then
      local oldest = call('ZRANGE', order, 0, 0, 'WITHSCORES')
      call('HSET', log, 'floor', oldest[2])
      drop(name, oldest[1])
    end
    touch(name)
  end
end

-- Texts

local character = '[^\128-\191][\128-\191]*'

-- The byte at which the last `chars` of a text's `total` characters begin.
local function tail_bytes(text, chars, total)
  local at, skipped = 1, total - chars
  if #text == total then return skipped + 1 end
  for _, step in ipairs({64, 1}) do  -- many at a time, for Redis serves nobody else meanwhile
    local pattern = '^' .. string.rep(character, step)
    while skipped >= step do
      local _, last = string.find(text, pattern, at)
      if not last then return #text + 1 end
      at, skipped = last + 1, skipped - step
    end
  end
  return at
end

local function meta_of(target)
  local generation, length, is_cut = unpack(call('HMGET', root .. 'meta:' .. target, 'generation', 'length', 'is_cut'))
  return generation, tonumber(length or 0), is_cut
end

local function mark(target, chars)  -- what comes next begins here
  local marks = root .. 'marks:' .. target
  call('ZADD', marks, number, digits(chars) .. ' ' .. call('STRLEN', root .. 'text:' .. target))
  if call('ZCARD', marks) > 512 then
    call('ZREMRANGEBYRANK', marks, 0, 255)
    call('HSET', root .. 'meta:' .. target, 'is_cut', 1)
  end
end

local function begin_text(target)  -- a new generation, still empty; who heard of the text still does
  local meta = root .. 'meta:' .. target
  for _, field in ipairs(call('HKEYS', meta)) do
    if string.sub(field, 1, 5) ~= 'told:' then call('HDEL', meta, field) end
  end
  call('DEL', root .. 'text:' .. target, root .. 'marks:' .. target)
  call('HSET', meta, 'generation', epoch .. '-' .. digits(number), 'length', 0)
end

local function end_text(target)
  for _, field in ipairs(call('HKEYS', root .. 'meta:' .. target)) do
    if string.sub(field, 1, 5) == 'told:' then drop(string.sub(field, 6), 'append ' .. target) end
  end
  call('DEL', root .. 'text:' .. target, root .. 'meta:' .. target, root .. 'marks:' .. target)
  call('ZREM', root .. 'texts', target)
  call('ZREM', root .. 'targets', target)
end

-- Where what was added after the number `since` begins, in characters and in bytes.
local function begun_after(target, since)
  local marks = root .. 'marks:' .. target
  local first = call('ZRANGEBYSCORE', marks, '(' .. digits(since), '+inf', 'LIMIT', 0, 1)[1]
  local _, length, is_cut = meta_of(target)
  if not first then return length, call('STRLEN', root .. 'text:' .. target) end
  if is_cut and call('ZRANK', marks, first) == 0 then return 0, 0 end
  local chars, bytes = string.match(first, '(%d+) (%d+)')
  return tonumber(chars), tonumber(bytes)
end

-- What a reader of these channels who stands at `since` lacks of a text: generation, offset, text.
local function tail(target, since, names)
  local generation = meta_of(target)
  if not generation then return nil end
  local chars, bytes = begun_after(target, since)
  for _, name in ipairs(names) do
    local late = call('HGET', root .. 'meta:' .. target, 'late:' .. name)
    if late then
      local told, late_chars, late_bytes = string.match(late, '(%d+) (%d+) (%d+)')
      if since < tonumber(told) and tonumber(late_chars) < chars then
        chars, bytes = tonumber(late_chars), tonumber(late_bytes)
      end
    end
  end
  return generation, digits(chars), call('GETRANGE', root .. 'text:' .. target, bytes, -1)
end

local function text_of(target)
  local generation = meta_of(target)
  if not generation then return {'0', ''} end
  return {generation, call('GET', root .. 'text:' .. target) or ''}
end

-- Sending: one line of words, one of channels, event and target, one of texts, and the data as it is

local function send(names, event, target, data, texts, words)
  if #names == 0 then return end
  local head = 'message ' .. epoch .. ' ' .. digits(number) .. (words and ' ' .. words or '')
  call('PUBLISH', outlet, table.concat({head, cjson.encode({names, event, target}), texts, data}, '\n'))
end

local function send_text(names, target, generation, offset, text)
  send(names, 'append', target, text, '', generation .. ' ' .. offset)
end

local function publish(names, member, value)  -- value: the slots in the data as JSON, a line end, the data
  local slots, data = string.match(value, '^(.-)\n(.*)$')
  local event, target = string.match(member, '^(%S*) (.*)$')
  local texts = ''
  if slots ~= '' then
    local filled = {}
    for _, slot in ipairs(cjson.decode(slots)) do filled[slot] = text_of(slot) end
    texts = cjson.encode(filled)
  end
  keep(names, member, value)
  send(names, event, target, data, texts)
end

-- Reading

local function is_served(at_epoch, at)  -- can we say what somebody lacks who stands there?
  return at_epoch == epoch and at and floor <= at and at <= number
end

-- Messages after `since` by rising number, each as {number, channel, member, value, ...}: a message once, though it
-- stands in several channels. `begins` gives for each of `names` the number after which it counts.
local function newer(names, begins, since)
  local found, rows = {}, {}
  for _, name in ipairs(names) do
    local after = '(' .. digits(math.max(since, begins[name]))
    local order = call('ZRANGEBYSCORE', root .. 'order:' .. name, after, '+inf', 'WITHSCORES')
    for i = 1, #order, 2 do
      local member, at = order[i], tonumber(order[i + 1])
      local is_append = string.sub(member, 1, 7) == 'append '
      local same = (is_append and '' or digits(at)) .. ' ' .. member
      local row = {at, name, member}
      if is_append then
        row[4], row[5], row[6] = tail(string.sub(member, 8), since, names)
      else
        row[4] = call('HGET', root .. 'log:' .. name, member)
      end
      if row[4] then found[same] = row end
    end
  end
  for _, row in pairs(found) do table.insert(rows, row) end
  table.sort(rows, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[3] < b[3] end)
  return rows
end

-- Forgetting

local function empty(name)  -- returns the floor that this makes
  local is_whole = call('EXISTS', root .. 'log:' .. name) == 1  -- or was it evicted?
  local last = is_whole and newest_of(name) or number
  call('DEL', root .. 'log:' .. name, root .. 'order:' .. name, root .. 'joined:' .. name)
  return last
end

local function expire()  -- a few at a time, so that no call takes long
  local old = call('ZRANGEBYSCORE', root .. 'channels', '-inf', now - log_ttl, 'LIMIT', 0, 20)
  for _, name in ipairs(old) do
    raise_floor(empty(name))
    call('ZREM', root .. 'channels', name)
  end
  for _, target in ipairs(call('ZRANGEBYSCORE', root .. 'texts', '-inf', now - text_ttl, 'LIMIT', 0, 20)) do
    end_text(target)
  end
end

local function rest_of_arguments(from) return {unpack(ARGV, from)} end
"""


# Asked for every page: in the ordinary case without the rest.
_POSITION_SCRIPT = Script(
    r"""
local epoch, number = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2] .. 'head', 'number')
if epoch and number then return {epoch, number} end
"""
    + PRELUDE
    + "return {epoch, digits(number)}"
)

# event and target in one word, the value, channels…
_PUBLISH_SCRIPT = Script(
    PRELUDE
    + r"""
count_up()
publish(rest_of_arguments(9), ARGV[7], ARGV[8])
expire()
return {epoch, number}
"""
)

# target, piece, its characters before it was cut to the limit, 1 to replace, limit, channels…
_APPEND_SCRIPT = Script(
    PRELUDE
    + r"""
local target, piece, chars = ARGV[7], ARGV[8], tonumber(ARGV[9])
local is_replaced, limit = ARGV[10] == '1', tonumber(ARGV[11])
local names, key = rest_of_arguments(12), root .. 'text:' .. target
count_up()
local generation, offset = meta_of(target)
if not generation or is_replaced or offset + chars > limit then
  local kept = math.min(chars, limit)
  if generation and not is_replaced then  -- too long: the newer half of all of it stays
    piece = (call('GET', key) or '') .. piece
    local total = offset + kept
    kept = math.min(total, math.floor(limit / 2))
    piece = string.sub(piece, tail_bytes(piece, kept, total))
  end
  begin_text(target)
  generation, offset, chars = meta_of(target), 0, kept
end
mark(target, offset)
call('APPEND', key, piece)
call('HSET', root .. 'meta:' .. target, 'length', offset + chars)
for _, name in ipairs(names) do call('HSET', root .. 'meta:' .. target, 'told:' .. name, 1) end
call('ZADD', root .. 'texts', now, target)
call('ZADD', root .. 'targets', 0, target)
for _, place in ipairs({'text:' .. target, 'meta:' .. target, 'marks:' .. target, 'texts', 'targets'}) do
  call('PEXPIRE', root .. place, 2 * text_ttl)
end
keep(names, 'append ' .. target, '')
send_text(names, target, generation, digits(offset), piece)
expire()
return {epoch, number}
"""
)

# target
_TEXT_SCRIPT = Script(PRELUDE + "return meta_of(ARGV[7]) and text_of(ARGV[7]) or false")

# targets…
_CLEAR_TEXTS_SCRIPT = Script(PRELUDE + "for _, target in ipairs(rest_of_arguments(7)) do end_text(target) end")

# the beginning of targets
_CLEAR_TEXTS_UNDER_SCRIPT = Script(
    PRELUDE
    + r"""
local from, upto = '[' .. ARGV[7], '[' .. ARGV[7] .. '\255'
for _, target in ipairs(call('ZRANGEBYLEX', root .. 'targets', from, upto)) do end_text(target) end
"""
)

# epoch and number of the reader, channels…
_READ_SCRIPT = Script(
    PRELUDE
    + r"""
local at_epoch, at, given = ARGV[7], tonumber(ARGV[8]), rest_of_arguments(9)
local names, begins = {}, {}
local function add(name, begin)
  if not begins[name] then table.insert(names, name) end
  begins[name] = begin
end
for _, name in ipairs(given) do add(name, 0) end
for _, name in ipairs(given) do
  local joined = call('HGETALL', root .. 'joined:' .. name)
  for i = 1, #joined, 2 do add(joined[i], tonumber(joined[i + 1])) end
end
for _, name in ipairs(names) do
  if is_known(name) then touch(name) end
end
expire()
local is_lost = not is_served(at_epoch, at)
for _, name in ipairs(names) do
  is_lost = is_lost or math.max(at, begins[name]) < floor_of(name)
end
if is_lost then return {epoch, number, 1, names} end
local rows, filled, texts = newer(names, begins, at), {}, {}
for _, row in ipairs(rows) do  -- the texts that stand in the data, as of this moment too
  local slots = #row == 4 and string.match(row[4], '^(.-)\n') or ''
  for _, slot in ipairs(slots ~= '' and cjson.decode(slots) or {}) do
    if not filled[slot] then
      filled[slot] = true
      table.insert(texts, {slot, unpack(text_of(slot))})
    end
  end
end
return {epoch, number, 0, names, rows, texts}
"""
)

# channels…
_PURGE_SCRIPT = Script(
    PRELUDE
    + r"""
for _, name in ipairs(rest_of_arguments(7)) do
  if is_known(name) then
    local last = empty(name)
    call('HSET', root .. 'log:' .. name, 'floor', last)
    call('PEXPIRE', root .. 'log:' .. name, 2 * log_ttl)
  end
end
"""
)

# page, its channel, epoch and number of the render, channels…
_ADD_CHANNELS_SCRIPT = Script(
    PRELUDE
    + r"""
local page, own, at_epoch, at = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
local names, begins = {}, {}
touch(own)
for _, name in ipairs(rest_of_arguments(11)) do
  if call('HSETNX', root .. 'joined:' .. own, name, number) == 1 then
    table.insert(names, name)
    begins[name] = 0
  end
end
call('PEXPIRE', root .. 'joined:' .. own, 2 * log_ttl)
if is_served(at_epoch, at) then  -- so old a page as to be reset when it reads needs nothing now
  -- Published to the page what the channels have got since: numbers that its reader cannot have passed yet.
  for _, row in ipairs(newer(names, begins, at)) do
    local member = row[3]
    count_up()
    if row[5] then
      local target = string.sub(member, 8)
      local chars, bytes = begun_after(target, at)
      local late = digits(number) .. ' ' .. digits(chars) .. ' ' .. digits(bytes)
      call('HSET', root .. 'meta:' .. target, 'told:' .. own, 1, 'late:' .. own, late)
      keep({own}, member, '')
      send_text({own}, target, row[4], row[5], row[6])
    else
      publish({own}, member, row[4])
    end
    expire()
  end
end
call('PUBLISH', outlet, 'join ' .. epoch .. ' ' .. digits(number) .. '\n' .. cjson.encode({page, names}) .. '\n\n')
"""
)

# what a control message says, as a line of words; it has no number of its own
_CONTROL_SCRIPT = Script(
    PRELUDE
    + r"""call('PUBLISH', outlet, ARGV[7] .. ' ' .. epoch .. ' ' .. digits(number) .. '\n' .. ARGV[8] .. '\n\n')"""
)


_MAX_MESSAGES_PER_CHANNEL = 500  # state messages of different targets
_POSITION = re.compile(r"([0-9a-f]+)\.([0-9]{1,19})", re.ASCII)


class RedisBus:
    """See ``htmx_live.backends.Bus``.  ``clock`` gives seconds in Redis's place, for tests."""

    def __init__(self, connection: RedisConnection | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._connection = connection or redis_connection()
        self._clock = clock
        self._channel = self._connection.key("bus")
        self._subscription = RedisSubscription(self._connection, self._channel, self._read_epoch)

    @property
    def epoch(self) -> str:
        """That of what receivers are being told; without any, of this moment."""
        return self._subscription.epoch or self._read_epoch()

    def position(self) -> str:
        epoch, number = self._run(_POSITION_SCRIPT)
        self._connection.cache_epoch(epoch)
        return f"{epoch}.{number}"

    def now(self) -> float:
        if self._clock is not None:
            return self._clock()
        seconds, micros = self._connection.call("TIME")
        return int(seconds) + int(micros) / 1e6

    # Publishing

    def publish(self, channels: Iterable[str], target: str, data: str, *, event: str = "") -> int:
        names, event_name = validate_channels(channels), validate_event(event)
        value = f"{_text_targets(data)}\n{data}"
        return int(self._run(_PUBLISH_SCRIPT, f"{event_name} {target}", value, *names)[1])

    def append(self, channels: Iterable[str], target: str, text: str, *, replace: bool = False) -> int:
        names, limit = validate_channels(channels), settings().MAX_STREAM_TEXT
        how = (len(text), int(replace), limit)
        return int(self._run(_APPEND_SCRIPT, target, text[-limit:], *how, *names)[1])

    # Texts

    def text(self, target: str) -> TextSnapshot | None:
        found = self._run(_TEXT_SCRIPT, target)
        return TextSnapshot(generation=found[0], text=found[1]) if found else None

    def clear_texts(self, targets: Iterable[str]) -> None:
        if names := tuple(targets):
            self._run(_CLEAR_TEXTS_SCRIPT, *names)

    def clear_texts_under(self, prefix: str) -> None:
        self._run(_CLEAR_TEXTS_UNDER_SCRIPT, prefix)

    # Reading

    def read(self, channels: Iterable[str], since: str) -> Replay:
        names = validate_channels(channels)
        epoch, number, is_lost, read, *found = self._run(_READ_SCRIPT, *_parse_position(since), *names)
        if is_lost:
            return Replay(epoch=epoch, number=number, is_reset=True, channels=tuple(read))
        rows, texts = found
        known = {target: (generation, text) for target, generation, text in texts}
        messages = tuple(_parse_message(row, known) for row in rows)
        return Replay(epoch=epoch, number=number, messages=messages, channels=tuple(read))

    def purge(self, channels: Iterable[str]) -> None:
        if names := validate_channels(channels):
            self._run(_PURGE_SCRIPT, *names)

    # Control, in order with the messages

    def add_channels(self, page: str, channels: Iterable[str], *, since: str = "") -> None:
        self._run(_ADD_CHANNELS_SCRIPT, page, page_channel(page), *_parse_position(since), *validate_channels(channels))

    def close_streams(self, key: str) -> None:
        self._run(_CONTROL_SCRIPT, "close", json.dumps(key))

    def subscribe(self, subscriber: Subscriber) -> None:
        """It is told to converge once the subscription stands, if that is not so yet."""
        self._subscription.add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscription.remove(subscriber)

    def _read_epoch(self) -> str:
        return self.position().partition(".")[0]

    def _run(self, script: Script, *args: str | int) -> Any:
        chosen, connection = settings(), self._connection
        common = (
            secrets.token_hex(8),
            "" if self._clock is None else self._clock(),
            chosen.REPLAY_TTL,
            max(chosen.REPLAY_TTL, chosen.HIDDEN_TTL),
            _MAX_MESSAGES_PER_CHANNEL,
            self._channel,
        )
        return connection.run(script, (connection.key("epoch"), connection.key("bus:")), (*common, *args))


def _text_targets(data: str) -> str:
    """The targets of the texts that stand in ``data``, as JSON; nothing if there are none."""
    found: dict[str, tuple[str, str]] = {}
    fill_text_placeholders(data, lambda target: found.setdefault(target, ("0", "")))
    return json.dumps(list(found)) if found else ""


def _parse_position(position: str) -> tuple[str, str]:
    """The epoch and the number of a position; empty when it is none."""
    match = _POSITION.fullmatch(position)
    return (match[1], match[2]) if match else ("", "")


def _parse_message(row: list[Any], texts: dict[str, tuple[str, str]]) -> BusMessage:
    """One message as the script READ gives it."""
    number, channel, member, *content = row
    event, _, target = member.partition(" ")
    if event == APPEND:
        generation, offset, text = content
        data = encode_append(target, generation, int(offset), text)
    else:
        slots, _, data = content[0].partition("\n")
        data = fill_texts(data, texts) if slots else data
    return BusMessage(channel=channel, target=target, number=number, data=data, event=event)
