-- KEYS: lock. ARGV: token, fail channel, notice ('' to tell nobody), how to publish ('' or none, 'sharded', 'both').
-- Reply: 1 released | 0 the lock is not ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[3] ~= '' then
  if ARGV[4] ~= 'sharded' then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
  end
  if ARGV[4] and ARGV[4] ~= '' then
    redis.call('SPUBLISH', ARGV[2], ARGV[3])
  end
end
return 1
