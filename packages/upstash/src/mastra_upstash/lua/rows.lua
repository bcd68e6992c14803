-- What the scripts share: rows as JSON text taken apart without being decoded, and their places.
--
-- A row stays the text it is: cjson would make objects of empty arrays, and doubles of integers.
-- Only its top level is looked at, as far as needed. Strings are compared byte by byte, since
-- Lua's own `<` follows the server's locale.
local byte, find, gsub, rep, sub = string.byte, string.find, string.gsub, string.rep, string.sub
local concat = table.concat
local plan = cjson.decode(ARGV[1])
local root = plan.root

-- The last position of the JSON string that begins at i.
local function closed(text, i)
  while true do
    i = find(text, '"', i + 1, true)
    local k = i - 1
    while byte(text, k) == 92 do k = k - 1 end
    if (i - k) % 2 == 1 then return i end
  end
end

-- The last position of the JSON value that begins at i.
local function skip(text, i)
  local c = byte(text, i)
  if c == 34 then return closed(text, i) end
  if c ~= 123 and c ~= 91 then return find(text, '[,%]}%s]', i) - 1 end
  local depth = 1
  while depth > 0 do
    i = find(text, '["{}%[%]]', i + 1)
    local d = byte(text, i)
    if d == 34 then
      i = closed(text, i)
    elseif d == 123 or d == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
  end
  return i
end

-- The text of a JSON string; any other token as it is.
local function plain(token)
  if byte(token) ~= 34 then return token end
  if not find(token, '\\', 1, true) then return sub(token, 2, -2) end
  local fine, list = pcall(cjson.decode, '[' .. token .. ']')
  return fine and list[1] or sub(token, 2, -2)
end

-- An object that is taken apart as far as it was asked for.
--
-- Rows written here begin with a line break, and have one before each field that may be long; no
-- other, since strings have none. So the end of such a field is found without looking into it.
local function opened(text)
  local i = find(text, '{', 1, true)
  return {text = text, at = i + 1, ours = byte(text, i + 1) == 10, names = {}, tokens = {}}
end

-- The name of the field at i, its token, and where the next one is; nothing at the end.
local function member(text, i, ours)
  local _, _, name, start = find(text, '^[%s,]*"([^"\\]*)"%s*:%s*()', i)
  if not name then
    local from = find(text, '["}]', i)
    if byte(text, from) == 125 then return nil end
    local to = skip(text, from)
    name, start = plain(sub(text, from, to)), find(text, '[^%s:]', to + 1)
  end
  if ours and byte(text, i + 1) == 10 then
    local last = find(text, '\n', start, true)
    if last then return name, sub(text, start, last - 2), last - 1 end
    return name, sub(text, start, -2), #text
  end
  local last = skip(text, start)
  return name, sub(text, start, last), last + 1
end

-- The token of a field, or of all fields where none is named; nil where it is absent.
local function field(row, name)
  local names, tokens = row.names, row.tokens
  local found = name and tokens[name]
  while found == nil and row.at do
    local key, token, behind = member(row.text, row.at, row.ours)
    row.at = behind
    if key then
      if tokens[key] == nil then names[#names + 1] = key end
      tokens[key] = token
      if key == name then found = token end
    end
  end
  return found
end

-- Whether a comes before b, byte by byte.
local function less(a, b)
  local i, n = 1, math.min(#a, #b)
  while i + 7 <= n and sub(a, i, i + 7) == sub(b, i, i + 7) do i = i + 8 end
  while i <= n do
    local x, y = byte(a, i, i), byte(b, i, i)
    if x ~= y then return x < y end
    i = i + 1
  end
  return #a < #b
end

local complement = {['0'] = '9', ['1'] = '8', ['2'] = '7', ['3'] = '6', ['4'] = '5',
                    ['5'] = '4', ['6'] = '3', ['7'] = '2', ['8'] = '1', ['9'] = '0'}

local function coded(text)
  if find(text, '\1', 1, true) or find(text, '\2', 1, true) then text = gsub(text, '[\1\2]', '\2%0') end
  return '=' .. text .. '\1'
end

-- The sort key of one value: all of them of one column are ordered as the values are, absent last.
local function code(kind, token)
  if token == nil or (token == 'null' and kind ~= 'j') then return '~\1' end
  if kind ~= 'n' then return coded(plain(token)) end
  if not find(token, '^-?%d+$') then token = string.format('%.0f', tonumber(token)) end
  local digits = gsub(token, '-', '')
  digits = rep('0', 20 - #digits) .. digits
  if byte(token) == 45 then return '=0' .. gsub(digits, '%d', complement) .. '\1' end
  return '=1' .. digits .. '\1'
end

-- The end of the first value in a sort key from i: an escaped \1 has an odd number of \2 before it.
local function value_end(key, i)
  while true do
    i = find(key, '\1', i, true)
    local k = i - 1
    while byte(key, k) == 2 do k = k - 1 end
    if (i - k) % 2 == 1 then return i end
    i = i + 1
  end
end

-- The values of a sort key of several columns: what `code` made of each, false where absent.
local function uncoded(columns, key)
  local values, i = {}, 1
  for n, column in ipairs(columns) do
    local last = find(key, '\1', i, true)
    if byte(key, last - 1) == 2 then last = value_end(key, i) end
    local text = sub(key, i + 1, last - 1)
    if byte(key, i) == 126 then
      text = false
    elseif column[2] == 'n' then
      local negative = byte(text) == 48
      text = sub(text, 2)
      if negative then text = gsub(text, '%d', complement) end
      text = gsub(text, '^0+(%d)', '%1')
      if negative then text = '-' .. text end
    elseif find(text, '\2', 1, true) then
      text = gsub(text, '\2(.)', '%1')
    end
    values[n] = text
    i = last + 1
  end
  return values
end

local tables = {}

-- What the database says of a table: how its rows are named, and which indexes they stand in.
local function table_of(name)
  local t = tables[name]
  if t then return t end
  local text = redis.call('HGET', root .. 'mastra:tables', name)
  if not text then error('MASTRA-SCHEMA there is no table ' .. name) end
  t = cjson.decode(text)
  t.name, t.touched, t.known = name, {}, {}
  for _, column in ipairs(t.columns) do t.known[column] = true end
  for _, index in ipairs(t.indexes) do t[index.id] = index end
  tables[name] = t
  return t
end

-- The key of a row in the database, of the values that make it.
local function named(t, values)
  local parts = {root}
  for i, value in ipairs(values) do
    local delimiter = t.parts[i + 1]
    if delimiter and find(value .. delimiter, delimiter, 1, true) ~= #value + 1 then
      -- Joined with this one, two different keys could have one name.
      local own = {root, 'mastra:row:', t.name, ':'}
      for _, v in ipairs(values) do own[#own + 1] = coded(v) end
      return concat(own)
    end
    parts[#parts + 1] = t.parts[i]
    parts[#parts + 1] = value
  end
  return concat(parts)
end

local function named_by(t, row)
  local values = {}
  for i, by in ipairs(t.by) do values[i] = plain(field(row, by)) end
  return named(t, values)
end

-- The row with these key values, or nil; `owner` is what a pointer would say, where it is known.
local function loaded(t, values, owner)
  local by = values
  if t.pointer ~= '' then
    owner = owner or redis.call('GET', root .. t.pointer .. values[1])
    if not owner then return nil end
    by = {owner, values[1]}
  end
  local text = redis.call('GET', named(t, by))
  return text and opened(text) or nil
end

local function identity(t, row)
  if row.identity then return row.identity end
  local parts = {}
  for i, key in ipairs(t.key) do parts[i] = code(key[2], field(row, key[1])) end
  row.identity = concat(parts)
  return row.identity
end

-- The sorted set of an index that a row stands in, and its member there. What all rows of a table
-- would share is spread over sixteen, because a record may not grow without bound.
local function place(t, index, row)
  local parts = {}
  for i, column in ipairs(index.rest) do parts[i] = code(column[2], field(row, column[1])) end
  local set, token = root .. 'mastra:' .. index.id, nil
  if index.at ~= '' then token = field(row, index.at) end
  if token ~= nil and token ~= 'null' then
    set = set .. '=' .. plain(token)
  else
    set = set .. (index.at ~= '' and '~' or '*') .. sub(redis.sha1hex(identity(t, row)), 1, 1)
  end
  return set, concat(parts)
end

-- The key values of a row, of the values of its member in an index.
local function key_of(index, values, partition)
  local key = {}
  for i, at in ipairs(index.keys) do key[i] = at == 0 and partition or values[at] end
  return key
end

-- The value at a path inside JSON, or nil.
local function inside(token, path, quoted)
  for _, name in ipairs(path) do
    if quoted and byte(token) == 34 then token = plain(token) end
    quoted = false
    if byte(token) ~= 123 then return nil end
    token = field(opened(token), name)
    if token == nil then return nil end
  end
  return token
end

local function compared(op, a, b)
  if op == 'lt' then return less(a, b) end
  if op == 'lte' then return not less(b, a) end
  if op == 'gt' then return less(b, a) end
  return not less(a, b)
end

local function equal(kind, token, value)
  if kind == 'n' then return code(kind, token) == value end
  if kind == 'f' then return tonumber(token) == tonumber(value) end
  if kind == 'j' then
    return token == value or (byte(value) == 123 and byte(token) == 34 and plain(token) == value)
  end
  return plain(token) == value
end

-- A condition on a value inside JSON, strict about its type.
local function holds_inside(row, c)
  local token = field(row, c.column)
  token = token and inside(token, c.path, c.quoted)
  if token == nil then return false end
  local same
  if c.kind == 's' then
    same = byte(token) == 34 and plain(token) == c.value
  elseif c.kind == 'f' then
    same = find(token, '^[-%d]') ~= nil and tonumber(token) == tonumber(c.value)
  else
    same = token == c.value
  end
  return same == (c.op == 'eq')
end

local function holds(row, conditions)
  for _, c in ipairs(conditions) do
    if c.path then
      if not holds_inside(row, c) then return false end
    else
      local token, fine = field(row, c.column), false
      local absent = token == nil or (token == 'null' and c.kind ~= 'j')
      if c.op == 'never' then
        return false
      elseif c.op == 'absent' then
        fine = absent
      elseif c.op == 'present' then
        fine = not absent
      elseif absent then
        fine = c.op == 'ne'
      elseif c.op == 'eq' then
        fine = equal(c.kind, token, c.value)
      elseif c.op == 'ne' then
        fine = not equal(c.kind, token, c.value)
      elseif c.op == 'in' then
        if not c.set then
          c.set = {}
          for _, value in ipairs(c.value) do c.set[value] = true end
        end
        local value = c.kind == 'n' and code('n', token) or plain(token)
        fine = c.set[c.kind == 'f' and string.format('%.17g', tonumber(token)) or value] == true
      elseif c.kind == 'f' then
        local a, b = tonumber(token), tonumber(c.value)
        fine = (c.op == 'lt' and a < b) or (c.op == 'lte' and a <= b)
          or (c.op == 'gt' and a > b) or (c.op == 'gte' and a >= b)
      else
        fine = compared(c.op, c.kind == 'n' and code('n', token) or plain(token), c.value)
      end
      if not fine then return false end
    end
  end
  return true
end
