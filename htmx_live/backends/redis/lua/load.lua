-- The record and its mail.  5 instance.
return fetch(ARGV[5])
