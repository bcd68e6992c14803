-- Reads the rows of several windows on one table, or counts them.
--
-- A window walks its sources (ranges of sorted sets) merged in their order, or names its rows by
-- key. It ends when it has its rows, or when this call has done enough: then it says where it
-- stopped, and the next call goes on behind that.
local t = table_of(plan.table)
local bytes, looked = plan.bytes, plan.looks

-- The single sorted sets of the sources: one that is spread is sixteen.
local function sets_of(window)
  local sets = {}
  for _, source in ipairs(window.sources) do
    local base = root .. 'mastra:' .. window.index .. source.set
    for shard = 0, source.spread and 15 or 0 do
      local name = base
      if source.spread then name = base .. string.format('%x', shard) end
      sets[#sets + 1] = {name = name, low = source.low, high = source.high,
                         prefix = source.prefix, partition = source.partition}
    end
  end
  return sets
end

local function fill(set, desc, skipped, size)
  if desc then
    set.page = redis.call('ZREVRANGEBYLEX', set.name, set.high, set.low, 'LIMIT', skipped, size)
  else
    set.page = redis.call('ZRANGEBYLEX', set.name, set.low, set.high, 'LIMIT', skipped, size)
  end
  set.at, set.full = 1, #set.page == size
end

-- The next member of a set behind its head; nil at its end.
local function advance(set, desc, size)
  set.at = set.at + 1
  if set.at > #set.page and set.full then
    local last = '(' .. set.page[#set.page]
    if desc then set.high = last else set.low = last end
    fill(set, desc, 0, size)
  end
  return set.page[set.at]
end

-- What is compared of a member: what follows the values that its source fixes.
local function head(set)
  local member = set.page[set.at]
  return member and sub(member, set.prefix + 1)
end

-- The sets that have members, sorted by their heads; the first is the next to be taken.
local function insert(heads, set, desc)
  local low, high = 1, #heads
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local before
    if desc then
      before = less(set.head, heads[middle].head)
    else
      before = less(heads[middle].head, set.head)
    end
    if before then low = middle + 1 else high = middle - 1 end
  end
  table.insert(heads, low, set)
end

-- Walks the members of all sources in order until `visit` says that it is enough.
local function walk(window, visit)
  local sets, heads = sets_of(window), {}
  local wanted = window.limit + window.skip
  local size = math.max(math.min(#sets == 1 and window.limit or
                                 math.ceil(wanted / #sets) + 4, 500), 1)
  for _, set in ipairs(sets) do
    -- One plain set can skip by itself.
    local skipped = 0
    if #sets == 1 and #window.where == 0 then skipped, window.skip = window.skip, 0 end
    fill(set, window.desc, skipped, size)
    set.head = #sets > 1 and head(set) or nil
    if set.head then insert(heads, set, window.desc) end
  end
  local only = #sets == 1 and sets[1]
  while only and only.page[only.at] do
    if visit(only, only.page[only.at], head(only)) then return false end
    advance(only, window.desc, size)
  end
  while heads[1] do
    local set = table.remove(heads, 1)
    if visit(set, set.page[set.at], set.head) then return false end
    if advance(set, window.desc, size) then
      set.head = head(set)
      insert(heads, set, window.desc)
    end
  end
  return true
end

local function same(row, column, value)
  local token = field(row, column[1])
  if token == nil or token == 'null' then return value == false end
  return value and (plain(token) == value or (column[2] == 'n' and tonumber(token) == tonumber(value)))
end

-- Whether a row shows a text as it is, in front of what may be long: a quote that is not escaped
-- stands at an end of a string there. If it does not, that says nothing.
local function shows(row, column, value)
  if not row.ours or column[2] ~= 's' or not value then return false end
  if find(value, '"', 1, true) or find(value, '\\', 1, true) then return false end
  local at = find(row.text, '"' .. column[1] .. '":"' .. value .. '"', 1, true)
  if not at then return false end
  row.short = row.short or find(row.text, '\n', 3, true) or #row.text
  return at < row.short
end

-- The row of a member; nil where it is gone or stands elsewhere now: the original keeps no index.
local function standing(index, set, member)
  local values = uncoded(index.rest, member)
  local owner = index.at == t.by[1] and set.partition or nil
  local row = loaded(t, key_of(index, values, set.partition), owner)
  if not row then return nil end
  for i, column in ipairs(index.rest) do
    if not shows(row, column, values[i]) and not same(row, column, values[i]) then return nil end
  end
  if index.at ~= '' then
    local column = {index.at, 's'}
    local value = set.partition or false
    if not shows(row, column, value) and not same(row, column, value) then return nil end
  end
  return row
end

local function read(window)
  local index, rows, last = t[window.index], {}, ''
  local ended = walk(window, function(set, member, at)
    looked = looked - 1
    last = at
    if window.skip > 0 and #window.where == 0 then
      window.skip = window.skip - 1
      return looked <= 0
    end
    local row = standing(index, set, member)
    if row and holds(row, window.where) then
      if window.skip > 0 then
        window.skip = window.skip - 1
      else
        bytes = bytes - #row.text
        rows[#rows + 1] = row.text
        window.limit = window.limit - 1
      end
    end
    return window.limit <= 0 or bytes <= 0 or looked <= 0
  end)
  return {(ended or window.limit <= 0) and 1 or 0, last, window.skip, rows}
end

local function read_keys(window)
  local rows, done = {}, 0
  for i, values in ipairs(window.keys) do
    local row = loaded(t, values)
    if row and holds(row, window.where) then
      bytes = bytes - #row.text
      rows[#rows + 1] = row.text
    end
    done = i
    if bytes <= 0 and i < #window.keys then return {0, tostring(done), 0, rows} end
  end
  return {1, tostring(done), 0, rows}
end

local function count(window)
  local index, found, last = t[window.index], 0, ''
  if #window.where == 0 then
    for _, set in ipairs(sets_of(window)) do
      found = found + redis.call('ZLEXCOUNT', set.name, set.low, set.high)
    end
    return {1, '', found, {}}
  end
  local ended = walk(window, function(set, member, at)
    looked = looked - 1
    last = at
    local row = standing(index, set, member)
    if row and holds(row, window.where) then found = found + 1 end
    return looked <= 0
  end)
  return {ended and 1 or 0, last, found, {}}
end

local answers = {}
for i, window in ipairs(plan.windows) do
  if i > 1 and (bytes <= 0 or looked <= 0) then break end
  if window.keys then
    answers[i] = read_keys(window)
  else
    answers[i] = plan.count and count(window) or read(window)
  end
end
return answers
