-- 5 name, 6 note, 7 milliseconds.
set_deadline(ARGV[5], ARGV[6], tonumber(ARGV[7]))
return 1
