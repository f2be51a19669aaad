-- Names and notes of deadlines that are over, in turn.  5 how many, 6 milliseconds for which they are handed out.
local deadlines, notes = KEYS[1] .. 'deadlines', KEYS[1] .. 'notes'
local answer = {}
local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[5])
for _, name in ipairs(due) do
  local forgotten, note = string.match(redis.call('HGET', notes, name) or '', '^(%d+) (.*)$')
  if note and tonumber(forgotten) > now then
    redis.call('ZADD', deadlines, now + tonumber(ARGV[6]), name)
    answer[#answer + 1] = name
    answer[#answer + 1] = note
  else
    clear_deadline(name)
  end
end
return answer
