-- KEYS: values. ARGV: the longest value to publish and how many bytes to publish in one call, and for each key its
-- notif channel and how to publish ('', 'sharded', 'both').
-- Reply: {keys that are done, from the first one, values that were published}
local longest, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local published = 0
for i, key in ipairs(KEYS) do
  -- pcall: one key of a wrong type must not fail the others.
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'table' and not string.find(length.err or '', 'WRONGTYPE') then
    return length
  end
  if type(length) == 'number' and length <= longest then
    if published > 0 and length > room then
      return {i - 1, published}
    end
    -- The value that is stored now, whatever was stored before.
    local value = redis.call('GET', key)
    if value then
      if ARGV[2 * i + 2] ~= 'sharded' then
        redis.call('PUBLISH', ARGV[2 * i + 1], value)
      end
      if ARGV[2 * i + 2] ~= '' then
        redis.call('SPUBLISH', ARGV[2 * i + 1], value)
      end
      room = room - length
      published = published + 1
    end
  end
end
return {#KEYS, published}
