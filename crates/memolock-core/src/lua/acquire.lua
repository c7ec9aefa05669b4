-- KEYS: value, lock. ARGV: token, lease in ms, and if there is one, a value to take for none.
-- Reply: {1, value} | {2} granted | {3, PTTL of the holder's lock, -1 without expiry}
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[3] then
  return {1, value}
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {2}
end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  -- An earlier reply was lost: the lease is ours and begins anew.
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return {2}
end
return {3, redis.call('PTTL', KEYS[2])}
