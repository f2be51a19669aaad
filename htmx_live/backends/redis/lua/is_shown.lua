-- Whether somebody looks at a page that shows the instance.  5 instance.
local record = peek(ARGV[5])
if not record then
  return 0
end
for page in string.gmatch(record.pages, '%S+') do
  if (tonumber(redis.call('HGET', key('page', page), 'present')) or 0) > now then
    return 1
  end
end
return #redis.call('ZREVRANGEBYSCORE', key('viewers', ARGV[5]), '+inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 1)
