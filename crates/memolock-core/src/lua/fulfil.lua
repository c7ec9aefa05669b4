-- KEYS: value, lock. ARGV: token, TTL in ms, value, notif channel, how to publish ('' or none, 'sharded', 'both').
-- Reply: 1 stored | 0 the lock is not ours
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
-- SET first: if memory is short it fails here, with the lock still ours to release.
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
if ARGV[5] ~= 'sharded' then
  redis.call('PUBLISH', ARGV[4], ARGV[3])
end
if ARGV[5] and ARGV[5] ~= '' then
  redis.call('SPUBLISH', ARGV[4], ARGV[3])
end
return 1
