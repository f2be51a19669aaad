-- Give a lease back.  5 instance, 6 token, 7 milliseconds in which the heir confirms it.  Answers whether mail is left
-- and nobody waits for the lease: that is for whoever releases it to see to.
local instance, lease = ARGV[5], key('lease', ARGV[5])
if redis.call('GET', lease) ~= ARGV[6] then
  return 0
end
local heir = redis.call('LPOP', key('queue', instance))
while heir do
  local process = redis.call('GET', key('waiting', heir))
  if process then
    redis.call('SET', lease, heir, 'PX', ARGV[7])
    redis.call('RPUSH', key('wake', process), heir)
    redis.call('PEXPIRE', key('wake', process), ARGV[7])
    return 0
  end
  heir = redis.call('LPOP', key('queue', instance))
end
redis.call('DEL', lease)
return redis.call('EXISTS', key('mail', instance))
