-- What a page listens on.  5 page.
local heard = tonumber(redis.call('GET', key('heard', ARGV[5])))
if not heard or now > heard + hidden then
  return {}
end
return redis.call('ZRANGE', key('channels', ARGV[5]), 0, -1)
