//! What scripts begin with that read what may be none of ours. A key of another kind would make such a script fail whenever
//! it runs, and so for ever; it is as a key that is not there. What the server refuses is refused all the same.

/// A script before which stands `text(key)`: the text at a key, or false.
macro_rules! reading_text {
    ($script:literal) => {
        concat!(
            r"
local function text(key)
  local there = redis.pcall('GET', key)
  if type(there) ~= 'table' or not there.err then return there end
  if string.find(there.err, 'WRONGTYPE', 1, true) then return false end
  return redis.call('GET', key)
end
",
            $script
        )
    };
}

/// A script before which stand `hash(key)`: the fields of a hash and their values, where what is none is deleted, since
/// nothing could be written there; `whole(text)`: a whole number that is exact,
/// or nothing; and `remove(key, fields)`, of any number.
macro_rules! reading_hash {
    ($script:literal) => {
        concat!(
            r"
local function hash(key)
  local all = redis.pcall('HGETALL', key)
  if not all.err then return all end
  if not string.find(all.err, 'WRONGTYPE', 1, true) then return redis.call('HGETALL', key) end
  redis.call('DEL', key)
  return {}
end
local function whole(text)
  local number = string.find(text, '^%-?%d+$') and tonumber(text)
  if number and math.abs(number) <= 9007199254740992 then return number end
end
local function remove(key, fields)
  for from = 1, #fields, 1000 do
    redis.call('HDEL', key, unpack(fields, from, math.min(from + 999, #fields)))
  end
end
",
            $script
        )
    };
}

/// A script before which stands `add(key, field, by)`: adds to a field of a hash. What stands in the way and is no number
/// is replaced.
macro_rules! adding {
    ($script:literal) => {
        concat!(
            r"
local function add(key, field, by)
  local added = redis.pcall('HINCRBY', key, field, by)
  if type(added) ~= 'table' or not added.err then return end
  if string.find(added.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key)
  elseif string.find(added.err, 'hash value is not', 1, true) or string.find(added.err, 'overflow', 1, true) then
    redis.call('HDEL', key, field)
  end
  redis.call('HINCRBY', key, field, by)
end
",
            $script
        )
    };
}

pub(in crate::store) use {adding, reading_hash, reading_text};
