-- KEYS: values.
-- Reply: {value or nil, PTTL, value or nil, PTTL, ...}
local found = {}
for i, key in ipairs(KEYS) do
  found[2 * i - 1] = redis.call('GET', key)
  found[2 * i] = redis.call('PTTL', key)
end
return found
