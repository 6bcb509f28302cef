//! What callers have used at all processes: one hash for each caller, with a field for each second and for the day, read
//! and written by one script, so that two processes never both take the last place.

use std::time::Duration;

use ::redis::cmd;

use super::super::redis::{Effect, Health, Link, adding, reading_hash};
use super::{AtServer, Limit, Quota, Reached, Use};
use crate::domain::{CallerName, CallerTag};

/// What all keys begin with. The number says how they are laid out.
const PREFIX: &str = "completiond:limits:1";

/// Takes a request, if there is room: KEYS is the caller; ARGV the limits (requests, tokens, nano-USD; -1 for none), and what
/// is expected (tokens, nano-USD). Returns the second in which it was taken; or -1 to -3 for the limit that is reached,
/// and the seconds until there is room. The clock is the server's, which all share. A field is `r` or `t` and a second, or
/// `d` and a day; those that are over are removed, what is none of these, and those of a minute that is still to come: the server's clock was ahead
/// when they were written, and is not any more.
const RESERVE: &str = reading_hash!(
    r"
local now = tonumber(redis.call('TIME')[1])
local first, today = now - 60, math.floor(now / 86400)
local limits = {tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])}
local wanted = {1, tonumber(ARGV[4]), tonumber(ARGV[5])}
local used, seconds, over = {0, 0, 0}, {{}, {}}, {}
local all = hash(KEYS[1])
for i = 1, #all, 2 do
  local kind, at, count = string.sub(all[i], 1, 1), whole(string.sub(all[i], 2)), whole(all[i + 1])
  if not (at and count and string.find(kind, '[rtd]')) then
    over[#over + 1] = all[i]
  elseif kind == 'd' then
    if at == today then used[3] = count else over[#over + 1] = all[i] end
  elseif at < first or at > now + 60 then
    over[#over + 1] = all[i]
  else
    local which = kind == 'r' and 1 or 2
    used[which] = used[which] + count
    seconds[which][#seconds[which] + 1] = {at, count}
  end
end
remove(KEYS[1], over)
for which = 1, 3 do
  -- What a call will cost is a guess: it alone keeps nobody out who has spent nothing yet.
  local counts = which < 3 or used[3] > 0
  if limits[which] >= 0 and counts and used[which] + wanted[which] > limits[which] then
    if which == 3 then return {-3, 86400 - now % 86400} end
    if wanted[which] > limits[which] then return {-which, -1} end
    table.sort(seconds[which], function(one, other) return one[1] < other[1] end)
    local excess = used[which] + wanted[which] - limits[which]
    for _, second in ipairs(seconds[which]) do
      excess = excess - second[2]
      if excess <= 0 then return {-which, math.max(1, second[1] + 61 - now)} end
    end
    return {-which, 61}
  end
end
redis.call('HINCRBY', KEYS[1], 'r' .. now, 1)
if wanted[2] > 0 then redis.call('HINCRBY', KEYS[1], 't' .. now, wanted[2]) end
if wanted[3] > 0 then redis.call('HINCRBY', KEYS[1], 'd' .. today, wanted[3]) end
redis.call('EXPIRE', KEYS[1], 172800)
return {now, 0}
"
);
/// Puts what was used in place of what was expected: KEYS is the caller; ARGV the second in which it was taken, what was
/// expected and what was used (tokens, nano-USD, tokens, nano-USD). Where that minute or day is over, what was used counts now.
const CORRECT: &str = adding!(
    r"
local now, at = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
local today = math.floor(now / 86400)
if at >= now - 60 then
  add(KEYS[1], 't' .. at, ARGV[4] - ARGV[2])
else
  add(KEYS[1], 't' .. now, ARGV[4])
end
local reserved = math.floor(at / 86400) == today and ARGV[3] or 0
add(KEYS[1], 'd' .. today, ARGV[5] - reserved)
redis.call('EXPIRE', KEYS[1], 172800)
return 1
"
);

/// How often it is looked whether a server that is away is back.
const PAUSE: Duration = Duration::from_millis(100);

/// What processes share. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Shared(Link);

impl Shared {
    pub(super) fn over(link: Link) -> Self {
        Self(link)
    }

    pub(super) fn health(&self) -> Health {
        self.0.health()
    }

    pub(super) fn link(&self) -> Link {
        self.0.clone()
    }

    /// Takes a request for all processes; none: the server does not answer.
    pub(super) async fn reserve(
        &self,
        caller: &CallerName,
        quota: Quota,
        expected: Use,
    ) -> Option<Result<AtServer, Reached>> {
        let mut reserve = cmd("EVAL");
        reserve.arg(RESERVE).arg(1).arg(key(caller));
        for limit in [quota.requests, quota.tokens, quota.nano_usd] {
            reserve.arg(limit.map_or(-1, signed));
        }
        reserve.arg(signed(expected.tokens)).arg(signed(expected.nano_usd));
        let (first, seconds) = self.0.ask::<(i64, i64)>(&reserve, Effect::Write).await?;
        let reached = |limit| {
            let again = u64::try_from(seconds).ok().map(Duration::from_secs);
            Some(Err(Reached { limit, again }))
        };
        match first {
            -1 => reached(Limit::Requests),
            -2 => reached(Limit::Tokens),
            -3 => reached(Limit::Money),
            at => u64::try_from(at).ok().map(|at| Ok(AtServer(at))),
        }
    }

    /// Puts what was used in place of what was expected. Where the server does not answer although it was asked, nobody knows
    /// whether it has done so, and it is not asked again: done twice it would be wrong by as much.
    pub(super) async fn correct(&self, correction: &Correction) {
        let Correction { caller, at, expected, used } = correction;
        let mut correct = cmd("EVAL");
        correct.arg(CORRECT).arg(1).arg(key(caller)).arg(at.0);
        for count in [expected.tokens, expected.nano_usd, used.tokens, used.nano_usd] {
            correct.arg(signed(count));
        }
        self.0.ask::<i64>(&correct, Effect::Write).await;
    }

    /// Waits until there is somebody to ask.
    pub(super) async fn is_there(&self) {
        while !self.0.is_connected() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What a call has used, to be put in place of what was expected of it.
#[derive(Clone, Debug)]
pub(super) struct Correction {
    pub(super) caller: CallerName,
    pub(super) at: AtServer,
    pub(super) expected: Use,
    pub(super) used: Use,
}

fn key(caller: &CallerName) -> String {
    format!("{PREFIX}:{{{}}}", CallerTag::of(caller))
}

/// Lua's numbers are exact up to 2^53.
fn signed(count: u64) -> i64 {
    const MOST: u64 = 1 << 53;
    i64::try_from(count.min(MOST)).unwrap_or(i64::MAX)
}
