-- Add a record.  5 instance, 6 once ('1'), 7 owner, 8 cap of the owner (0: none), 9 stamp, 10… the fields.
local instance, owner, cap, view = ARGV[5], ARGV[7], tonumber(ARGV[8]), ARGV[12]
local before = peek(instance)
if ARGV[6] == '1' and before and is_live(before) then
  return 0
end
remove(instance)
local mine = key('owner', owner)

-- What has expired leaves its name in the indexes.  A few names, picked at random, are looked at each time: that takes
-- out as many as come in, wherever in the set they are.
for _, name in ipairs(redis.call('ZRANDMEMBER', mine, 5)) do
  if redis.call('EXISTS', key('record', name)) == 0 then
    redis.call('ZREM', mine, name)
  end
end
for _, index in ipairs(view_indexes({owner = owner, view = view})) do
  for _, name in ipairs(redis.call('SRANDMEMBER', index, 5)) do
    if redis.call('EXISTS', key('record', name)) == 0 then
      redis.call('SREM', index, name)
    end
  end
end
while cap > 0 and redis.call('ZCARD', mine) >= cap do
  local oldest = redis.call('ZRANGE', mine, 0, 0)[1]
  remove(oldest)
  redis.call('ZREM', mine, oldest)
end

redis.call('HSET', key('record', instance), 'owner', owner, 'stamp', ARGV[9], 'schema', ARGV[10], 'rev', ARGV[11],
  'view', view, 'pages', ARGV[13], 'jobs', ARGV[14], 'head', ARGV[15], 'state', ARGV[16])
local record = {kept = 0, works = ARGV[14] ~= '[]', pages = ARGV[13], owner = owner, view = view}
for page in string.gmatch(record.pages, '%S+') do
  link(page, instance, record)
end
use(instance, record)
return 1
