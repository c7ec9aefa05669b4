-- KEYS: value, lock, for each key in turn. ARGV: token, lease in ms, for each.
-- Reply: for each {1, value} | {2} granted | {3, PTTL of the holder's lock, -1 without expiry} | an error's line
local function acquire(value_name, lock_name, token, lease)
  local value = redis.call('GET', value_name)
  if value then
    return {1, value}
  end
  if redis.call('SET', lock_name, token, 'NX', 'PX', lease) then
    return {2}
  end
  if redis.call('GET', lock_name) == token then
    -- An earlier reply was lost: the lease is ours and begins anew.
    redis.call('PEXPIRE', lock_name, lease)
    return {2}
  end
  return {3, redis.call('PTTL', lock_name)}
end
local replies = {}
for i = 1, #KEYS, 2 do
  -- pcall: one key of a wrong type must not fail the others.
  local fine, reply = pcall(acquire, KEYS[i], KEYS[i + 1], ARGV[i], ARGV[i + 1])
  if not fine then
    -- Before 7.0 it is no table but a text that begins with the place in the script.
    reply = type(reply) == 'table' and reply.err or 'ERR Error running script: ' .. tostring(reply)
  end
  replies[#replies + 1] = reply
end
return replies
