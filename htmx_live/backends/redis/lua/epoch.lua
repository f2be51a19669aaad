-- The word that changes when all is lost.  5 the word if there is none.
redis.call('SET', KEYS[1] .. 'epoch', ARGV[5], 'NX')
return redis.call('GET', KEYS[1] .. 'epoch')
