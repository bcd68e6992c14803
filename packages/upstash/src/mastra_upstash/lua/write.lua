-- Applies changes in order, all or none: first to rows held here, then to the database.
--
-- Redis undoes nothing, so nothing is written before the last guard held. A write that was applied
-- is known by its token for a while: sent again, it answers what it answered.
local done_key = root .. 'mastra:done:' .. plan.token
local answered = redis.call('GET', done_key)
if answered then return cjson.decode(answered) end

local held, order = {}, {}

local function slot(t, values)
  local parts = {t.name}
  for _, value in ipairs(values) do parts[#parts + 1] = coded(value) end
  local id = concat(parts, ':')
  local found = held[id]
  if not found then
    local row = loaded(t, values)
    found = {t = t, old = row, new = row, values = values}
    held[id] = found
    order[#order + 1] = found
    t.touched[#t.touched + 1] = found
  end
  return found
end

local function absent(token, kind)
  return token == nil or (token == 'null' and kind ~= 'j')
end

-- An ISO time as milliseconds, and back.
local function epoch(token)
  local y, m, d, h, min, s, ms =
    string.match(token, '^"?(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)')
  if not y then return nil end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if m <= 2 then y = y - 1 end
  local era = math.floor(y / 400)
  local year = y - era * 400
  local day = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + d - 1
  local days = era * 146097 + year * 365 + math.floor(year / 4) - math.floor(year / 100) + day - 719468
  return ((days * 24 + tonumber(h)) * 60 + tonumber(min)) * 60000 + tonumber(s) * 1000
    + (tonumber(sub(ms .. '000', 1, 3)) or 0)
end

local function iso(at)
  local days, rest = math.floor(at / 86400000) + 719468, at % 86400000
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524)
                           - math.floor(day / 146096)) / 365)
  local of = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of + 2) / 153)
  local d = of - math.floor((153 * month + 2) / 5) + 1
  local m = month < 10 and month + 3 or month - 9
  local y = year + era * 400 + (m <= 2 and 1 or 0)
  return string.format('"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"', y, m, d,
                       math.floor(rest / 3600000), math.floor(rest / 60000) % 60,
                       math.floor(rest / 1000) % 60, rest % 1000)
end

local function later(token, stored)
  local before = stored and epoch(stored)
  if not before or epoch(token) > before then return token end
  return iso(before + 1)
end

-- A row with some fields changed, written as rows are here: what may be long stands behind.
local function changed(row, tokens)
  field(row)
  local short, long, broken = {}, {}, false
  local function add(name, token)
    local first = byte(token)
    local into = (#token > 200 or first == 123 or first == 91) and long or short
    into[#into + 1] = cjson.encode(name) .. ':' .. token
    broken = broken or find(token, '\n', 1, true) ~= nil
  end
  for _, name in ipairs(row.names) do
    local token = tokens[name] or row.tokens[name]
    if token ~= '' then add(name, token) end
  end
  for name, token in pairs(tokens) do
    if row.tokens[name] == nil and token ~= '' then add(name, token) end
  end
  local head, separator = '{\n', ',\n'
  if broken then head, separator = '{', ',' end
  for i, text in ipairs(long) do long[i] = separator .. text end
  return opened(head .. concat(short, ',') .. concat(long) .. '}')
end

local function conflict(position, ...)
  return {0, position - 1, string.format(...)}
end

-- The new row over the stored one, or nil and the column that does not match.
local function merged(change, new, stored)
  local t, tokens = change.table, {}
  for _, rule in ipairs(change.merge) do
    local name, how, kind = rule[1], rule[2], rule[3]
    local n, s = field(new, name), field(stored, name)
    if how == 'match' then
      local same = absent(n, kind) == absent(s, kind)
      if same and not absent(n, kind) then
        same = equal(kind, s, kind == 'n' and code('n', n) or kind == 's' and plain(n) or n)
      end
      if not same then return nil, name end
    elseif how == 'keep' or (how == 'coalesce' and absent(n, kind)) then
      tokens[name] = s or ''
    elseif how == 'advance' and n then
      tokens[name] = later(n, s)
    end
  end
  field(stored)
  for _, name in ipairs(stored.names) do
    -- What this version does not know stays as it is.
    if not t.known[name] then tokens[name] = stored.tokens[name] end
  end
  return next(tokens) and changed(new, tokens) or new
end

local function put(change, position)
  local t, count = change.table, 0
  for i = change.first, change.last do
    local row = opened(ARGV[i])
    local values = {}
    for n, key in ipairs(t.key) do values[n] = plain(field(row, key[1])) end
    local at = slot(t, values)
    if not at.new then
      at.new, count = row, count + 1
    elseif change.on == 'fail' then
      return nil, conflict(position, '%s has a row with the key %s already', t.name,
                           concat(values, ', '))
    elseif change.on == 'replace' then
      local new, column = merged(change, row, at.new)
      if not new then
        return nil, conflict(position, '%s has a row with this key and another %s', t.name, column)
      end
      at.new, count = new, count + 1
    end
  end
  return count
end

-- The rows that a change may be of: those that its keys or ranges name, and those changed before.
local function candidates(change)
  local t, found, seen = change.table, {}, {}
  local function add(at)
    if not seen[at] then
      seen[at] = true
      found[#found + 1] = at
    end
  end
  for _, values in ipairs(change.keys or {}) do add(slot(t, values)) end
  for _, source in ipairs(change.sources or {}) do
    local index = t[change.index]
    for shard = 0, source.spread and 15 or 0 do
      local set = root .. 'mastra:' .. index.id .. source.set
      if source.spread then set = set .. string.format('%x', shard) end
      for _, member in ipairs(redis.call('ZRANGEBYLEX', set, source.low, source.high)) do
        add(slot(t, key_of(index, uncoded(index.rest, member), source.partition)))
      end
    end
  end
  for _, at in ipairs(t.touched) do add(at) end
  return found
end

local function update(change, position)
  local rows = {}
  for _, at in ipairs(candidates(change)) do
    if at.new and holds(at.new, change.where) then rows[#rows + 1] = at end
  end
  if change.expect and #rows ~= change.expect then
    return nil, conflict(position, '%d rows of %s matched, %d should', #rows, change.table.name,
                         change.expect)
  end
  for _, at in ipairs(rows) do
    if change.op == 'delete' then
      at.new = nil
    else
      local tokens = {}
      for _, value in ipairs(change.set) do tokens[value[1]] = value[2] end
      for _, value in ipairs(change.advance) do
        tokens[value[1]] = later(value[2], field(at.new, value[1]))
      end
      at.new = changed(at.new, tokens)
    end
  end
  return #rows
end

local counts = {1}
for position, change in ipairs(plan.changes) do
  change.table = table_of(change.of)
  local count, refused = (change.op == 'put' and put or update)(change, position)
  if refused then return refused end
  counts[#counts + 1] = count
end

-- What is to be written is found out whole before anything is.
local adding, removing, setting, deleting = {}, {}, {}, {}

local function gather(into, set, ...)
  local list = into[set]
  if not list then
    list = {}
    into[set] = list
  end
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

local function spelled(t, row)
  return root .. t.list[1] .. plain(field(row, t.by[1])) .. t.list[2]
end

-- What the original keeps beside its messages: where each is, and the list of each thread.
local function beside(t, old, new)
  local id = plain(field(new or old, t.key[1][1]))
  if old and not new then deleting[#deleting + 1] = root .. t.pointer .. id end
  if old and (not new or spelled(t, old) ~= spelled(t, new)) then
    gather(removing, spelled(t, old), id)
  end
  if not new then return end
  local owner = plain(field(new, t.by[1]))
  if not old or plain(field(old, t.by[1])) ~= owner then
    setting[#setting + 1] = {root .. t.pointer .. id, owner}
  end
  local score = field(new, '_index') or epoch(field(new, 'createdAt') or '') or 0
  gather(adding, spelled(t, new), score, id)
end

for _, at in ipairs(order) do
  local t, old, new = at.t, at.old, at.new
  if old ~= new then
    for _, index in ipairs(t.indexes) do
      local was, before, is, now
      if old then was, before = place(t, index, old) end
      if new then is, now = place(t, index, new) end
      -- What the original changed may stand where it did before, or nowhere.
      if was ~= is or before ~= now or not old.ours then
        if old and (was ~= is or before ~= now) then gather(removing, was, before) end
        if new then gather(adding, is, 0, now) end
      end
    end
    if t.pointer ~= '' then beside(t, old, new) end
    local name = new and named_by(t, new)
    local gone = old and named_by(t, old)
    if gone and gone ~= name then deleting[#deleting + 1] = gone end
    if new then setting[#setting + 1] = {name, new.text} end
  end
end

-- In steps: the arguments of one call stand on Lua's stack.
local function apply(command, sets)
  for set, list in pairs(sets) do
    for i = 1, #list, 1000 do
      redis.call(command, set, unpack(list, i, math.min(i + 999, #list)))
    end
  end
end
for _, key in ipairs(deleting) do redis.call('DEL', key) end
for _, pair in ipairs(setting) do redis.call('SET', pair[1], pair[2]) end
apply('ZREM', removing)
apply('ZADD', adding)
redis.call('SET', done_key, cjson.encode(counts), 'EX', plan.kept)
return counts
