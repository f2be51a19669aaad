-- Add to a mailbox.  5 instance, 6 letter, 7 fold, 8 milliseconds until somebody looks after it, whatever happens to who
-- holds the lease, 9 the note that says so.
local instance, fold = ARGV[5], ARGV[7]
local record = peek(instance)
if not record or not is_live(record) then
  return 0
end
local name, mail = key('record', instance), key('mail', instance)
if fold ~= '' then
  local _, same = letter(redis.call('LINDEX', mail, -1))
  if same == fold then
    redis.call('RPOP', mail)
  end
end
-- A new number, also in the place of another: a turn that runs may have read that one already.
local number = redis.pcall('HINCRBY', name, 'posted', 1)
if type(number) == 'table' then -- no number: nobody of us has written that
  remove(instance)
  return 0
end
local waiting = redis.call('RPUSH', mail, string.format('%.0f %d ', number, #fold) .. fold .. ARGV[6])
redis.call('PEXPIRE', mail, math.max(redis.call('PTTL', name), MARGIN))
if not redis.call('ZSCORE', KEYS[1] .. 'deadlines', 'mail:' .. instance) then
  set_deadline('mail:' .. instance, ARGV[9], tonumber(ARGV[8]))
end
return waiting
