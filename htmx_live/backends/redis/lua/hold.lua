-- Take or renew a named lease.  5 name, 6 holder, 7 its milliseconds; 0 gives it back.
local name, ms = key('hold', ARGV[5]), tonumber(ARGV[7])
local till, holder = string.match(redis.call('GET', name) or '', '^(%d+) (.*)$')
if holder and holder ~= ARGV[6] and tonumber(till) > now then
  return 0
elseif ms > 0 then
  redis.call('SET', name, string.format('%.0f %s', now + ms, ARGV[6]), 'PX', ms + MARGIN)
else
  redis.call('DEL', name)
end
return 1
