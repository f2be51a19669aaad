-- What all scripts begin with.  KEYS[1] is the prefix of all keys; times are milliseconds on Redis's own clock.
-- ARGV: 1 the time ('' for Redis's; tests give theirs), 2 STATE_TTL, 3 HIDDEN_TTL, 4 GRANT_MAX_AGE; a script's own
-- arguments begin with the fifth.
--
--   record:<instance>   hash: the fields of encoding.py, and `used`, `kept`, `owner`, `posted`, `stamp`
--   mail:<instance>     list of "<number> <length of fold> <fold><letter>"
--   viewers:<instance>  sorted set: pages linked to a shared record, by the time until which they are present
--   page:<page>         hash: `present` and `kept`, the times until which it is;  members:<page> sorted set of instances
--   owner:<key>         sorted set of instances, used longest ago first;  view:<path> set of instances, view:<path> <user> of one user's
--   channels:<page>     sorted set of subscriptions;  heard:<page> when it was last heard of
--   lease:<instance>, queue:<instance>, waiting:<token>, wake:<process>   see acquire.lua
--   hold:<name>         a named lease;  deadlines sorted set of names by time, with their notes in the hash `notes`
--
-- Whether a record has expired is told by its fields.  Keys expire by themselves a little later, so that nothing stays.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local ttl, hidden, day = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local MARGIN = 1000

local function key(kind, name)
  return KEYS[1] .. kind .. ':' .. name
end

-- Let a key live for at least `ms` more; harmless when there is none.
local function extend(name, ms)
  if redis.call('PTTL', name) < ms then
    redis.call('PEXPIRE', name, math.ceil(ms))
  end
end

-- What scripts must know of a record, or nil.  A key of another type, or without `used`, is none.
local function peek(instance)
  local found = redis.pcall('HMGET', key('record', instance), 'used', 'kept', 'jobs', 'pages', 'owner', 'view', 'rev')
  local used = not found.err and tonumber(found[1])
  if not used then
    return nil
  end
  return {
    used = used,
    kept = tonumber(found[2]) or 0,
    works = (found[3] or '[]') ~= '[]',
    pages = found[4] or '',
    owner = found[5] or '',
    view = found[6] or '',
    rev = found[7],
  }
end

local function is_live(record)
  return record.works or now <= record.used + ttl or record.kept > now
end

-- Milliseconds that the keys of a record must live.  A job that nobody looks at and that ends nowhere is given a day.
local function lifetime(record)
  return math.max(record.used + ttl, record.kept, record.works and now + day or 0) - now + MARGIN
end

-- The sets in which a view's records are found: all of them, and those of the user that the owner names.
local function view_indexes(record)
  local user = string.match(record.owner, '^[^.]*%.(.+)$')
  return {key('view', record.view), user and key('view', record.view .. ' ' .. user)}
end

local function keep(instance, record)
  local ms = lifetime(record)
  extend(key('owner', record.owner), ms)
  for _, index in ipairs(view_indexes(record)) do
    extend(index, ms)
  end
  for _, kind in ipairs({'record', 'mail', 'viewers'}) do
    extend(key(kind, instance), ms)
  end
  for page in string.gmatch(record.pages, '%S+') do
    extend(key('page', page), ms)
    extend(key('members', page), ms)
  end
end

-- A place behind all others in a sorted set, however many come in one millisecond.
local function last(set)
  local top = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
  return math.max(now, (tonumber(top[2]) or 0) + 1)
end

-- The record counts as used now.  Its indexes are written anew, for one that was lost alone.
local function use(instance, record)
  record.used = now
  redis.call('HSET', key('record', instance), 'used', now)
  local mine = key('owner', record.owner)
  redis.call('ZADD', mine, last(mine), instance)
  for _, index in ipairs(view_indexes(record)) do
    redis.call('SADD', index, instance)
  end
  keep(instance, record)
end

-- The page shows the instance.  The record is kept for as long as the page is.
local function link(page, instance, record)
  local members = key('members', page)
  if not redis.call('ZSCORE', members, instance) then
    redis.call('ZADD', members, last(members), instance)
  end
  local times = redis.call('HMGET', key('page', page), 'present', 'kept')
  local till = math.max(tonumber(times[1]) or 0, tonumber(times[2]) or 0)
  if till > record.kept then
    record.kept = till
    redis.call('HSET', key('record', instance), 'kept', till)
  end
  return tonumber(times[1]) or 0
end

local function unlink(page, instance)
  redis.call('ZREM', key('members', page), instance)
  if redis.call('EXISTS', key('members', page)) == 0 then
    redis.call('DEL', key('page', page))
  end
end

local function clear_deadline(name)
  redis.call('ZREM', KEYS[1] .. 'deadlines', name)
  return redis.call('HDEL', KEYS[1] .. 'notes', name)
end

-- A note is kept behind the time at which it is forgotten, for its place in the set moves when it is handed out.
local function set_deadline(name, note, within)
  local deadlines, notes = KEYS[1] .. 'deadlines', KEYS[1] .. 'notes'
  local forgotten = now + within + 86400000
  redis.call('ZADD', deadlines, now + within, name)
  redis.call('HSET', notes, name, string.format('%.0f', forgotten) .. ' ' .. note)
  extend(deadlines, forgotten - now + MARGIN)
  extend(notes, forgotten - now + MARGIN)
end

local function remove(instance)
  local record = peek(instance)
  if record then
    redis.call('ZREM', key('owner', record.owner), instance)
    for _, index in ipairs(view_indexes(record)) do
      redis.call('SREM', index, instance)
    end
    for page in string.gmatch(record.pages, '%S+') do
      unlink(page, instance)
    end
  end
  for _, page in ipairs(redis.call('ZRANGE', key('viewers', instance), 0, -1)) do
    unlink(page, instance)
  end
  redis.call('DEL', key('record', instance), key('mail', instance), key('viewers', instance))
  clear_deadline('mail:' .. instance)
end

-- A letter of a mailbox: its number, the word it folds with, its text.
local function letter(item)
  local number, length, rest = string.match(item or '', '^(%d+) (%d+) (.*)$')
  if rest then
    return tonumber(number), string.sub(rest, 1, length), string.sub(rest, length + 1)
  end
end

-- All that `load` answers: the fields, the number of the last letter, the letters; false when the record is gone.
local function fetch(instance)
  local record = peek(instance)
  if not record or not is_live(record) then
    return false
  end
  use(instance, record)
  local found = redis.call('HMGET', key('record', instance),
    'schema', 'rev', 'view', 'pages', 'jobs', 'head', 'state', 'stamp', 'posted')
  for _, item in ipairs(redis.call('LRANGE', key('mail', instance), 0, -1)) do
    local _, _, text = letter(item)
    found[#found + 1] = text
  end
  return found
end
