-- KEYS: lock. ARGV: token, fail channel, notice ('' to tell nobody).
-- Reply: 1 released | 0 the lock is not ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[3] ~= '' then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1
