-- A page says that it is shown.  5 page, 6 and 7 milliseconds for which it is present, and its records are kept.
local page = ARGV[5]
if redis.call('EXISTS', key('channels', page)) == 1 then
  redis.call('SET', key('heard', page), now, 'PX', hidden + MARGIN)
  redis.call('PEXPIRE', key('channels', page), hidden + MARGIN)
end
local members = redis.call('ZRANGE', key('members', page), 0, -1)
if #members == 0 then
  return 0
end
local present = now + tonumber(ARGV[6])
local kept = math.max(tonumber(redis.call('HGET', key('page', page), 'kept')) or 0, now + tonumber(ARGV[7]))
redis.call('HSET', key('page', page), 'present', present, 'kept', kept)
local till = math.max(present, kept)
extend(key('page', page), till - now + MARGIN)
extend(key('members', page), till - now + MARGIN)
for _, instance in ipairs(members) do
  local record = peek(instance)
  if not record then
    redis.call('ZREM', key('members', page), instance)
  else
    if till > record.kept then
      record.kept = till
      redis.call('HSET', key('record', instance), 'kept', till)
    end
    redis.call('ZADD', key('viewers', instance), 'XX', present, page)
    keep(instance, record)
  end
end
return 1
