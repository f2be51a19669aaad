-- The lease of an instance.  5 instance, 6 token, 7 its milliseconds, 8 the process in which the token waits in the queue,
-- '' to wait no longer, 9 how long a waiter counts as there, 10 how many may wait (-1: any number).
-- Answers 1 and what `load` would answer, which saves a call; 0 when another holds it; -1 when too many wait already.
--
--   free ──▶ held by a token ──release──▶ handed to the first waiter that is there, who confirms it here
--              └── its time is over, for the process died or was stopped ──▶ free
--
-- A process reads wake:<process>, to which release.lua writes the tokens that were handed a lease.  A waiter also asks
-- again every second: so a lease whose holder died is taken when it ends, by who came first.  While it waits,
-- waiting:<token> names its process.

-- Whether `most` wait, without those that have died.
local function is_full(queue, most)
  if most < 0 or redis.call('LLEN', queue) < most then
    return false
  end
  for _, token in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    if redis.call('EXISTS', key('waiting', token)) == 0 then
      redis.call('LREM', queue, 0, token)
    end
  end
  return redis.call('LLEN', queue) >= most
end

local instance, token, ms = ARGV[5], ARGV[6], ARGV[7]
local lease, queue = key('lease', instance), key('queue', instance)
local holder = redis.call('GET', lease)
local first = redis.call('LINDEX', queue, 0)
while not holder and first and first ~= token and redis.call('EXISTS', key('waiting', first)) == 0 do
  redis.call('LPOP', queue)
  first = redis.call('LINDEX', queue, 0)
end
if holder == token or (not holder and (not first or first == token)) then
  redis.call('SET', lease, token, 'PX', ms)
  redis.call('LREM', queue, 0, token)
  redis.call('DEL', key('waiting', token))
  return {1, fetch(instance)}
end
if ARGV[8] ~= '' then
  if not redis.call('LPOS', queue, token) then
    if is_full(queue, tonumber(ARGV[10])) then
      return {-1}
    end
    redis.call('RPUSH', queue, token)
  end
  redis.call('SET', key('waiting', token), ARGV[8], 'PX', ARGV[9])
  redis.call('PEXPIRE', queue, 60000)
else -- it has waited long enough
  redis.call('LREM', queue, 0, token)
  redis.call('DEL', key('waiting', token))
end
return {0}
