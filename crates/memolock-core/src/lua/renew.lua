-- KEYS: lock... ARGV: token, lease in ms, for each lock in turn.
-- Reply: {1 renewed | 0 lost, ...}
local renewed = {}
for i, lock in ipairs(KEYS) do
  -- pcall: one lock of a wrong type must not fail the others.
  local holder = redis.pcall('GET', lock)
  if holder == ARGV[2 * i - 1] then
    redis.call('PEXPIRE', lock, ARGV[2 * i])
    renewed[i] = 1
  else
    renewed[i] = 0
  end
end
return renewed
