-- KEYS: value, lock, for each key in turn. ARGV: token, TTL in ms, value, notif channel, how to publish ('', 'sharded',
-- 'both'), for each.
-- Reply: for each 1 stored | 0 the lock is not ours | an error's line
local function fulfil(value_name, lock_name, token, ttl, value, channel, how)
  if redis.call('GET', lock_name) ~= token then
    return 0
  end
  -- SET first: if memory is short it fails here, with the lock still ours to release.
  redis.call('SET', value_name, value, 'PX', ttl)
  redis.call('DEL', lock_name)
  if how ~= 'sharded' then
    redis.call('PUBLISH', channel, value)
  end
  if how ~= '' then
    redis.call('SPUBLISH', channel, value)
  end
  return 1
end
local replies = {}
for i = 1, #KEYS, 2 do
  local a = (i - 1) / 2 * 5
  -- pcall: one key of a wrong type must not fail the others.
  local fine, reply = pcall(fulfil, KEYS[i], KEYS[i + 1], unpack(ARGV, a + 1, a + 5))
  if not fine then
    -- Before 7.0 it is no table but a text that begins with the place in the script.
    reply = type(reply) == 'table' and reply.err or 'ERR Error running script: ' .. tostring(reply)
  end
  replies[#replies + 1] = reply
end
return replies
