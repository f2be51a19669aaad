"""What the bus's scripts share: the functions that number, keep, publish and read inside Redis.

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
"""

__all__ = ["PRELUDE"]

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
