-- A part of a view's records.  5 view, or view and user as in the index's name, 6 cursor, 7 '1' to read their state too.  Answers the next cursor, then for each
-- record its instance and its fields.  A part is small, for Redis does nothing else meanwhile.
local all = key('view', ARGV[5])
local found = redis.call('SSCAN', all, ARGV[6], 'COUNT', 200)
local answer = {found[1]}
for _, instance in ipairs(found[2]) do
  local record = peek(instance)
  if not record then
    redis.call('SREM', all, instance)
  elseif is_live(record) then
    local fields = redis.call('HMGET', key('record', instance), 'schema', 'rev', 'view', 'pages', 'jobs', 'head')
    fields[7] = ARGV[7] == '1' and redis.call('HGET', key('record', instance), 'state')
    fields[8] = instance
    answer[#answer + 1] = fields
  end
end
return answer
