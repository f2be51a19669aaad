-- Replace a record.  5 instance, 6 the lease's token, 7 the rev that it must have, 8 the number of the last letter that
-- was taken, 9 stamp, 10… the fields.  The token is the fence: who has lost the lease changes nothing.
local instance = ARGV[5]
local name, mail = key('record', instance), key('mail', instance)
local record = peek(instance)
if not record or record.rev ~= ARGV[7] or redis.call('GET', key('lease', instance)) ~= ARGV[6] then
  return 0
end
redis.call('HSET', name, 'stamp', ARGV[9], 'schema', ARGV[10], 'rev', ARGV[11], 'pages', ARGV[13], 'jobs', ARGV[14],
  'head', ARGV[15], 'state', ARGV[16])
if record.pages ~= ARGV[13] then
  local stays = {}
  for page in string.gmatch(ARGV[13], '%S+') do
    stays[page] = true
    link(page, instance, record)
  end
  for page in string.gmatch(record.pages, '%S+') do
    if not stays[page] then
      unlink(page, instance)
    end
  end
  record.pages = ARGV[13]
end

local taken, has_taken = tonumber(ARGV[8]), false
local number = letter(redis.call('LINDEX', mail, 0))
while number and number <= taken do
  redis.call('LPOP', mail)
  has_taken, number = true, letter(redis.call('LINDEX', mail, 0))
end
if has_taken and not number then
  clear_deadline('mail:' .. instance)
end

record.works = ARGV[14] ~= '[]'
use(instance, record)
redis.call('PEXPIRE', name, lifetime(record)) -- sooner than before when its last job has ended
return 1
