-- Remove a record.  5 instance, 6 a stamp: only the record that bears it; '*': whichever.
local stamp = ARGV[6]
if stamp ~= '*' then
  local found = redis.pcall('HGET', key('record', ARGV[5]), 'stamp')
  if (type(found) == 'string' and found or '') ~= stamp then
    return 0
  end
end
remove(ARGV[5])
return 1
