-- The lease of an instance.  5 instance, 6 token, 7 its milliseconds, 8 '1' to wait in the queue, 9 how long a waiter
-- counts as there.  Answers 1 and what `load` would answer, which saves a call; 0 when another holds it.
--
--   free ──▶ held by a token ──release──▶ handed to the first waiter that is there, who confirms it here
--              └── its time is over, for the process died or was stopped ──▶ free
--
-- A waiter sleeps in BLPOP on wake:<token>, which release.lua writes to, and asks again at least twice in a second: so a
-- lease whose holder died is taken when it ends, by who came first.  While it waits, waiting:<token> says it is there.
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
  redis.call('DEL', key('waiting', token), key('wake', token))
  return {1, fetch(instance)}
end
if ARGV[8] == '1' then
  redis.call('SET', key('waiting', token), 1, 'PX', ARGV[9])
  if not redis.call('LPOS', queue, token) then
    redis.call('RPUSH', queue, token)
  end
  redis.call('PEXPIRE', queue, 60000)
else -- it has waited long enough
  redis.call('LREM', queue, 0, token)
  redis.call('DEL', key('waiting', token), key('wake', token))
end
return {0}
