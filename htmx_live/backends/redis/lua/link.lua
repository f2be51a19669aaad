-- A page shows a shared instance.  5 page, 6 instance.
local page, instance = ARGV[5], ARGV[6]
local record = peek(instance)
if not record then
  return 0
end
local viewers = key('viewers', instance)
local present = link(page, instance, record)
redis.call('ZADD', viewers, math.max(now, present), page)
-- A page that is closed says so to nobody.  One not heard of for hours may be on a machine that sleeps, and would miss
-- all that comes when it wakes: it stays for as long as its grants are good.
redis.call('ZREMRANGEBYSCORE', viewers, '-inf', '(' .. string.format('%.0f', now - day))
extend(key('page', page), day)
extend(key('members', page), day)
keep(instance, record)
return 1
