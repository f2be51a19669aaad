-- 5 name.
local note = redis.call('HGET', KEYS[1] .. 'notes', ARGV[5])
local is_there = clear_deadline(ARGV[5]) == 1
local forgotten = is_there and tonumber(string.match(note, '^(%d+) '))
return forgotten and forgotten > now and 1 or 0
