"""The bus's scripts, one for each call; see ``redis_prelude`` for keys and functions.

The first six arguments are the same for all; a comment above each names those that follow.
"""

from htmx_live.redis_connection import Script
from htmx_live.transport.redis_prelude import PRELUDE

__all__ = ["APPEND", "CONTROL", "END", "END_UNDER", "FORGET", "JOIN", "POSITION", "PUBLISH", "READ", "TEXT"]

# Asked for every page: in the ordinary case without the rest.
POSITION = Script(
    r"""
local epoch, number = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2] .. 'head', 'number')
if epoch and number then return {epoch, number} end
"""
    + PRELUDE
    + "return {epoch, digits(number)}"
)

# event and target in one word, the value, channels…
PUBLISH = Script(
    PRELUDE
    + r"""
count_up()
publish(rest_of_arguments(9), ARGV[7], ARGV[8])
expire()
return {epoch, number}
"""
)

# target, piece, its characters before it was cut to the limit, 1 to replace, limit, channels…
APPEND = Script(
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
TEXT = Script(PRELUDE + "return meta_of(ARGV[7]) and text_of(ARGV[7]) or false")

# targets…
END = Script(PRELUDE + "for _, target in ipairs(rest_of_arguments(7)) do end_text(target) end")

# the beginning of targets
END_UNDER = Script(
    PRELUDE
    + r"""
local from, upto = '[' .. ARGV[7], '[' .. ARGV[7] .. '\255'
for _, target in ipairs(call('ZRANGEBYLEX', root .. 'targets', from, upto)) do end_text(target) end
"""
)

# epoch and number of the reader, channels…
READ = Script(
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
FORGET = Script(
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
JOIN = Script(
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
CONTROL = Script(
    PRELUDE
    + r"""call('PUBLISH', outlet, ARGV[7] .. ' ' .. epoch .. ' ' .. digits(number) .. '\n' .. ARGV[8] .. '\n\n')"""
)
