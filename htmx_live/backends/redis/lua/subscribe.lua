-- A page listens on a channel too; of very many the newest stay.  5 page, 6 channel, 7 how many.
local channels = key('channels', ARGV[5])
redis.call('ZADD', channels, last(channels), ARGV[6])
redis.call('ZREMRANGEBYRANK', channels, 0, -tonumber(ARGV[7]) - 1)
redis.call('SET', key('heard', ARGV[5]), now, 'PX', hidden + MARGIN)
redis.call('PEXPIRE', channels, hidden + MARGIN)
return 1
