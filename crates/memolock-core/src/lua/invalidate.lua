-- KEYS: value, lock. ARGV: fail channel, notice.
-- Reply: 1
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
