-- Renew leases.  5 their milliseconds, then an instance and its token for each.  One that was lost stays lost.
for at = 6, #ARGV, 2 do
  if redis.call('GET', key('lease', ARGV[at])) == ARGV[at + 1] then
    redis.call('PEXPIRE', key('lease', ARGV[at]), ARGV[5])
  end
end
return 1
