-- KEYS: value, lock.
-- Reply: {type of value, length or -1, PTTL, type of lock, holder or '', PTTL}; the type of nothing is 'none'
local function kind(key)
  local reply = redis.call('TYPE', key)
  return reply.ok or reply
end
local value, lock = kind(KEYS[1]), kind(KEYS[2])
local length, holder = -1, ''
if value == 'string' then
  length = redis.call('STRLEN', KEYS[1])
end
if lock == 'string' then
  holder = redis.call('GET', KEYS[2])
end
return {value, length, redis.call('PTTL', KEYS[1]), lock, holder, redis.call('PTTL', KEYS[2])}
