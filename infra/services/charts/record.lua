-- Makes one flat record of texts from a line of a container's log. `shipper.py` puts the constants before it:
-- TENANT and CLUSTER, the names of the streams; LINE and FIELD, the most bytes of a line and of a field;
-- NAMED, the fields of a JSON line that become fields of the record.
--
-- A tenant writes the lines, so nothing here trusts one: no recursion, bounded work for each byte, and every
-- text is valid UTF-8 and short. OpenSearch refuses none of what comes out, whatever came in.

local byte, char, find, match, sub = string.byte, string.char, string.find, string.match, string.sub
local concat = table.concat

local UNKNOWN = "\239\191\189" -- U+FFFD
local SPACES = "^[ \t\r\n]*()"
local NUMBER = "^%-?%d[%d%.eE+%-]*()"
local QUOTE, BACKSLASH = byte('"'), byte("\\")
local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- The bytes of the character at a position; nil if they are not UTF-8.
local function width(text, at)
  local first, second, third, fourth = byte(text, at, at + 3)
  local function continues(value, low, high)
    return value and value >= (low or 0x80) and value <= (high or 0xBF)
  end
  if first < 0x80 then
    return 1
  elseif first >= 0xC2 and first <= 0xDF then
    return continues(second) and 2
  elseif first >= 0xE0 and first <= 0xEF then
    local low, high = first == 0xE0 and 0xA0 or 0x80, first == 0xED and 0x9F or 0xBF
    return continues(second, low, high) and continues(third) and 3
  elseif first >= 0xF0 and first <= 0xF4 then
    local low, high = first == 0xF0 and 0x90 or 0x80, first == 0xF4 and 0x8F or 0xBF
    return continues(second, low, high) and continues(third) and continues(fourth) and 4
  end
end

-- A text of at most so many bytes, with U+FFFD in place of whatever is not UTF-8.
local function clean(text, most)
  if #text > most then
    local last = most
    while last > most - 3 and byte(text, last + 1) >= 0x80 and byte(text, last + 1) < 0xC0 do
      last = last - 1 -- not in the middle of a character
    end
    text = sub(text, 1, last)
  end
  if not find(text, "[\128-\255]") then
    return text
  end
  local parts, from, at = {}, 1, 1
  while at <= #text do
    local size = width(text, at)
    if not size then
      parts[#parts + 1] = sub(text, from, at - 1)
      parts[#parts + 1] = UNKNOWN
      from = at + 1
    end
    at = at + (size or 1)
  end
  parts[#parts + 1] = sub(text, from)
  return concat(parts)
end

-- The UTF-8 of a code point.
local function utf8(code)
  local function last(shift)
    return 0x80 + math.floor(code / 2 ^ shift) % 64
  end
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + math.floor(code / 64), last(0))
  elseif code >= 0xD800 and code < 0xE000 then
    return UNKNOWN
  elseif code < 0x10000 then
    return char(0xE0 + math.floor(code / 4096), last(6), last(0))
  end
  return char(0xF0 + math.floor(code / 262144), last(12), last(6), last(0))
end

-- The character of the escape at a position, and the position after it.
local function escaped(text, at)
  local letter = sub(text, at + 1, at + 1)
  if letter ~= "u" then
    return ESCAPES[letter] or UNKNOWN, at + 2
  end
  local code = tonumber(match(text, "^%x%x%x%x", at + 2) or "FFFD", 16)
  local low = tonumber(match(text, "^\\u(%x%x%x%x)", at + 6) or "0", 16)
  if code >= 0xD800 and code < 0xDC00 and low >= 0xDC00 and low < 0xE000 then
    return utf8(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 12
  end
  return utf8(code), at + 6
end

-- The text that a JSON string between its quotes means, as far as a field has room for it.
local function unescaped(text)
  text = sub(text, 1, 6 * FIELD) -- an escape has up to six bytes for each of its character's
  local parts, at = {}, 1
  while true do
    local stop = find(text, "\\", at, true)
    parts[#parts + 1] = sub(text, at, (stop or 0) - 1)
    if not stop then
      return concat(parts)
    end
    parts[#parts + 1], at = escaped(text, stop)
  end
end

-- The position of the quote that ends the string whose first quote is at a position.
local function closing(text, at)
  repeat
    at = find(text, '["\\]', at + 1)
    if not at then
      return nil
    end
    local found = byte(text, at)
    at = found == BACKSLASH and at + 1 or at
  until found == QUOTE
  return at
end

-- The position after the list or object that begins at a position.
local function after(text, at)
  local depth = 0
  repeat
    at = find(text, '["%[%]{}]', at)
    if not at then
      return nil
    end
    local found = sub(text, at, at)
    if found == '"' then
      at = closing(text, at)
      if not at then
        return nil
      end
    else
      depth = depth + ((found == "[" or found == "{") and 1 or -1)
    end
    at = at + 1
  until depth == 0
  return at
end

-- The value at a position as a text, and the position after it; false for a list, an object or null.
local function value(text, at)
  local first = sub(text, at, at)
  if first == '"' then
    local stop = closing(text, at)
    return stop and unescaped(sub(text, at + 1, stop - 1)), stop and stop + 1
  elseif first == "{" or first == "[" then
    return false, after(text, at)
  end
  local stop = match(text, NUMBER, at)
  if stop then
    return sub(text, at, math.min(stop - 1, at + FIELD)), stop
  end
  local word = match(text, "^%a+", at)
  if word == "true" or word == "false" or word == "null" then
    return word ~= "null" and word, at + #word
  end
end

-- The named fields of a line that is a JSON object; none if it is anything else.
local function fields(text)
  local found = {}
  local at = match(text, "^[ \t\r\n]*{()")
  if not at then
    return found
  end
  while true do
    at = match(text, SPACES, at)
    if byte(text, at) ~= QUOTE then
      return {}
    end
    local stop = closing(text, at)
    local next_at = stop and match(text, "^[ \t\r\n]*:[ \t\r\n]*()", stop + 1)
    if not next_at then
      return {}
    end
    local name, item = sub(text, at + 1, stop - 1), nil
    item, at = value(text, next_at)
    if not at then
      return {}
    end
    if NAMED[name] and item then
      found[name] = clean(item, FIELD)
    end
    local separator
    separator, at = match(text, "^[ \t\r\n]*([,}])()", at)
    if separator == "}" then
      return found
    elseif not separator then
      return {}
    end
  end
end

local function flat(text)
  text = type(text) == "string" and text or tostring(text)
  text = match(text, "^(.-)\n?$")
  local record = fields(text)
  record.log = clean(text, LINE)
  if #text > LINE then
    record.cut = tostring(#text)
  end
  return record
end

-- Fluent Bit calls this for each line. Namespace and pod are those of the file's name, which the node chooses.
function flatten(tag, timestamp, record)
  local pod, namespace, container = match(tag, "^kube%.var%.log%.containers%.([^_]+)_([^_]+)_(.+)%-%x+%.log$")
  local tenant = namespace and match(namespace, "^tenant%-(.+)$")
  local done, result = pcall(flat, record.log)
  if not done then
    result = { log = clean("this line could not be read: " .. tostring(result), LINE) }
  end
  result.stream = tenant and TENANT .. tenant or CLUSTER
  result.tenant, result.namespace, result.pod, result.container = tenant, namespace, pod, container
  return 2, timestamp, result
end
