-- Puts rows into the indexes of their table: those that stand in none, or not in all of them.
--
-- Rows are named by their keys in the database (what the original wrote), or by a range of the
-- table's own list (for an index that is new). Nothing else of them is changed. A row that the
-- original keeps under another key than this one's stays out: a copy would hide it from itself.
local t, last, count = table_of(plan.table), '', 0

local function index(row)
  for _, each in ipairs(t.indexes) do
    local set, member = place(t, each, row)
    redis.call('ZADD', set, 0, member)
  end
  if t.pointer ~= '' then
    local id, owner = plain(field(row, t.key[1][1])), plain(field(row, t.by[1]))
    redis.call('SET', root .. t.pointer .. id, owner)
  end
  count = count + 1
end

local function complete(row)
  for _, key in ipairs(t.key) do
    local token = field(row, key[1])
    if token == nil or token == 'null' then return false end
  end
  for _, by in ipairs(t.by) do
    if field(row, by) == nil then return false end
  end
  return true
end

for _, name in ipairs(plan.names or {}) do
  if redis.call('TYPE', name).ok == 'string' then
    local text = redis.call('GET', name)
    local row = find(text, '^%s*{') and opened(text)
    if row and complete(row) and named_by(t, row) == name then index(row) end
  end
end
if plan.shard then
  local own = t[plan.table .. '_by_key']
  local set = root .. 'mastra:' .. own.id .. '*' .. plan.shard
  for _, member in ipairs(redis.call('ZRANGEBYLEX', set, plan.low, '+', 'LIMIT', 0, plan.size)) do
    last = member
    local row = loaded(t, key_of(own, uncoded(own.rest, member)))
    if row then index(row) end
  end
end
return {count, last}
