-- Writes down the tables and their indexes: every writer keeps all indexes that stand here.
--
-- An index that is new to a table with rows is marked as being built until it has all of them.
local key, missing = root .. 'mastra:tables', {}

for _, given in ipairs(plan.tables) do
  local text = redis.call('HGET', key, given.name)
  if not text then
    redis.call('HSET', key, given.name, given.text)
  else
    local stored, new, changed = cjson.decode(text), cjson.decode(given.text), false
    local indexes, columns = {}, {}
    for _, index in ipairs(stored.indexes) do indexes[index.id] = index end
    for _, column in ipairs(stored.columns) do columns[column] = true end
    for _, index in ipairs(new.indexes) do
      if not indexes[index.id] then
        index.building = 1
        indexes[index.id], changed = index, true
        stored.indexes[#stored.indexes + 1] = index
      end
      if indexes[index.id].building then missing[#missing + 1] = {given.name, index.id} end
    end
    for _, column in ipairs(new.columns) do
      if not columns[column] then
        stored.columns[#stored.columns + 1], changed = column, true
      end
    end
    if changed then redis.call('HSET', key, given.name, cjson.encode(stored)) end
  end
end
for _, built in ipairs(plan.built) do
  local stored = cjson.decode(redis.call('HGET', key, built[1]))
  for _, index in ipairs(stored.indexes) do
    if index.id == built[2] then index.building = nil end
  end
  redis.call('HSET', key, built[1], cjson.encode(stored))
end
return missing
