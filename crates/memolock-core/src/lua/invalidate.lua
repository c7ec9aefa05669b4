-- KEYS: value, lock. ARGV: fail channel, notice, how to publish ('' or none, 'sharded', 'both').
-- Reply: 1
redis.call('DEL', KEYS[1], KEYS[2])
if ARGV[3] ~= 'sharded' then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
if ARGV[3] and ARGV[3] ~= '' then
  redis.call('SPUBLISH', ARGV[1], ARGV[2])
end
return 1
