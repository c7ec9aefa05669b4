-- KEYS: value, lock. ARGV: TTL in ms, value, notif channel, '1' to delete the lock, how to publish ('' or none,
-- 'sharded', 'both').
-- Reply: 1
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[2])
end
if ARGV[5] ~= 'sharded' then
  redis.call('PUBLISH', ARGV[3], ARGV[2])
end
if ARGV[5] and ARGV[5] ~= '' then
  redis.call('SPUBLISH', ARGV[3], ARGV[2])
end
return 1
