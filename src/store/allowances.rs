//! What processes tell each other about the limits of the accounts that they share: until when an endpoint is to be left alone,
//! and what is left there. One hash for each account, with a field for each model, read and written by one script for all
//! accounts at once. No call waits for it; whoever exchanges does so beside the calls.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{Cmd, cmd};

use super::quotas::Quotas;
use super::redis::{Effect, Link, reading_hash};
use crate::domain::Quota;
use crate::pool::{AccountTag, FleetLimits, Heard, LONGEST_HOLD, LimitNews, ModelTag};

/// What all keys begin with. The number says how they are laid out. All are in one slot of a cluster, so that one question does
/// for all.
const PREFIX: &str = "completiond:{allowances}:1";
/// The most models of one account that are kept.
const MOST: usize = 512;
/// The longest that anything is kept: the windows of limits are a day at most, but for few.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Takes in what one process has to tell, and returns what all know: KEYS are the accounts; ARGV the most models of each,
/// the longest that anything holds and the longest that a model is left alone in milliseconds, and for each account the number of models that there is something to tell
/// of and, for each of them, its tag and 13 numbers: attempts since the last time, attempts known of then, a hold, and for
/// requests and tokens how long it lasts, how long ago it was sent for, the limit, what is left, and whether it says when it
/// resets. Times are in milliseconds by the clock of the server; -1 is none. A field has 13 numbers as well: until when
/// the model is held, all attempts, and for requests and tokens until when they hold, when they were sent for, the limit,
/// what is left, whether they say when they reset, and for requests all attempts when they were written. What was sent last counts.
const EXCHANGE: &str = reading_hash!(
    r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local most, longest, longest_hold = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local place, answer = 4, {}
local function argument()
  place = place + 1
  return ARGV[place - 1]
end
local function read(text)
  local numbers = {}
  for word in string.gmatch(text, '%S+') do
    local number = whole(word)
    if not number then return end
    numbers[#numbers + 1] = number
  end
  if #numbers == 13 then return numbers end
end
local function lasts(model)
  return math.max(model[1], model[3], model[8]) - now
end
-- What would last longer than anything may, or was sent for in a time to come, is broken, and no account is left alone for it.
local function is_right(tag, model)
  return model and #tag == 32 and not string.find(tag, '[^0-9a-f]')
    and lasts(model) > 0 and lasts(model) <= longest and model[1] - now <= longest_hold
    and math.max(model[4], model[9]) - now <= 60000
    and math.min(model[2], model[6], model[11], model[13]) >= 0
end
for account = 1, #KEYS do
  local models, count, over, changed = {}, 0, {}, {}
  local all = hash(KEYS[account])
  for i = 1, #all, 2 do
    local model = read(all[i + 1])
    if is_right(all[i], model) and count < most then
      models[all[i]], count = model, count + 1
    else
      over[#over + 1] = all[i]
    end
  end
  remove(KEYS[account], over)
  for _ = 1, tonumber(argument()) do
    local tag, new = argument(), {}
    for i = 1, 13 do new[i] = tonumber(argument()) end
    local model = models[tag]
    if not model and count < most then
      model, count = {0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0}, count + 1
      models[tag] = model
    end
    if model then
      local elsewhere = math.max(0, model[2] - new[2])
      model[2] = model[2] + new[1]
      if new[3] >= 0 then model[1] = math.max(model[1], now + math.min(new[3], longest_hold)) end
      for kind = 0, 1 do
        local from, to = 4 + 5 * kind, 3 + 5 * kind
        local sent = now - new[from + 1]
        if new[from] >= 0 and (model[to] <= now or model[to + 1] <= sent) then
          model[to], model[to + 1] = now + math.min(new[from], longest), sent
          model[to + 2], model[to + 3], model[to + 4] = new[from + 2], new[from + 3], new[from + 4]
          if kind == 0 then
            model[6] = math.max(0, model[6] - elsewhere)
            model[13] = model[2]
          end
        end
      end
      changed[tag] = model
    end
  end
  local longer = redis.call('PTTL', KEYS[account])
  for tag, model in pairs(changed) do
    local text = {}
    for i = 1, 13 do text[i] = string.format('%.0f', model[i]) end
    redis.call('HSET', KEYS[account], tag, table.concat(text, ' '))
    longer = math.max(longer, lasts(model))
  end
  if next(changed) and longer > 0 then redis.call('PEXPIRE', KEYS[account], longer) end
  local told = {}
  for tag, model in pairs(models) do
    local left = math.max(0, model[6] - math.max(0, model[2] - model[13]))
    local numbers = {model[2], model[1] - now,
      model[3] - now, now - model[4], model[5], left, model[7],
      model[8] - now, now - model[9], model[10], model[11], model[12]}
    told[#told + 1] = {tag, numbers}
  end
  answer[account] = told
end
return answer
"
);

/// What one process has to tell of an account.
pub type AccountNews = (AccountTag, Vec<(ModelTag, LimitNews)>);

/// Where processes tell each other about the limits of accounts. Clones are the same.
#[derive(Clone, Debug)]
pub struct Allowances(Link);

impl Allowances {
    /// On the server where callers' limits are counted; none: processes share none.
    pub fn beside(quotas: &Quotas) -> Option<Self> {
        quotas.link().map(Self)
    }

    /// Whether there is a server to ask at all.
    pub fn is_there(&self) -> bool {
        self.0.is_there()
    }

    /// Tells what is new of each account, and returns what all know of each, in their order; none: the server does not
    /// answer.
    pub async fn exchange(&self, news: &[AccountNews]) -> Option<Vec<HashMap<ModelTag, FleetLimits>>> {
        let told = self.0.ask::<Vec<Vec<(Vec<u8>, Vec<i64>)>>>(&question(news), Effect::Write).await?;
        let known = |(tag, numbers): (Vec<u8>, Vec<i64>)| {
            Some((ModelTag::parse(std::str::from_utf8(&tag).ok()?)?, fleet(&numbers)?))
        };
        Some(told.into_iter().map(|models| models.into_iter().filter_map(known).collect()).collect())
    }
}

fn question(news: &[AccountNews]) -> Cmd {
    let mut question = cmd("EVAL");
    question.arg(EXCHANGE).arg(news.len());
    for (account, _) in news {
        question.arg(format!("{PREFIX}:{account}"));
    }
    question.arg(MOST).arg(milliseconds(LONGEST)).arg(milliseconds(LONGEST_HOLD));
    for (_, models) in news {
        question.arg(models.len());
        for (model, news) in models {
            let LimitNews { sent, total, hold, requests, tokens } = *news;
            question.arg(model.to_string()).arg(exact(sent)).arg(exact(total)).arg(hold.map_or(-1, milliseconds));
            for heard in [requests, tokens] {
                question.arg(&told(heard));
            }
        }
    }
    question
}

/// What was heard of a limit, in five numbers.
fn told(heard: Option<Heard>) -> [i64; 5] {
    let Some(Heard { quota, lasts, ago }) = heard else { return [-1, 0, -1, 0, 0] };
    let Quota { limit, remaining, resets_in } = quota;
    [milliseconds(lasts), milliseconds(ago), limit.map_or(-1, exact), exact(remaining), resets_in.is_some().into()]
}

fn fleet(numbers: &[i64]) -> Option<FleetLimits> {
    let &[total, hold, ref limits @ ..] = numbers else { return None };
    let (requests, tokens) = limits.split_at_checked(5).filter(|(_, tokens)| tokens.len() == 5)?;
    Some(FleetLimits {
        total: u64::try_from(total).ok()?,
        hold: duration(hold),
        requests: heard(requests),
        tokens: heard(tokens),
    })
}

fn heard(numbers: &[i64]) -> Option<Heard> {
    let &[lasts, ago, limit, remaining, says_when] = numbers else { return None };
    let lasts = duration(lasts)?;
    let quota = Quota {
        limit: u64::try_from(limit).ok(),
        remaining: u64::try_from(remaining).ok()?,
        resets_in: (says_when != 0).then_some(lasts),
    };
    Some(Heard { quota, lasts, ago: duration(ago).unwrap_or_default() })
}

/// A time that is not over.
fn duration(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().filter(|left| *left > 0).map(Duration::from_millis)
}

/// At most what is kept: what takes longer is believed no longer than that.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.min(LONGEST).as_millis()).unwrap_or(i64::MAX)
}

/// Lua's numbers are exact up to 2^53.
fn exact(count: u64) -> i64 {
    const MOST: u64 = 1 << 53;
    i64::try_from(count.min(MOST)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_shape_is_nothing_and_what_is_over_is_not_there() {
        for numbers in [&[][..], &[1], &[1; 11], &[1; 13], &[-1; 12]] {
            assert_eq!(fleet(numbers), None, "{numbers:?}");
        }
        let known = fleet(&[7, 0, 30_000, 10, 100, 42, 1, -5, 10, 100, 3, 1]).unwrap();
        let resets_in = Some(Duration::from_secs(30));
        let quota = Quota { limit: Some(100), remaining: 42, resets_in };
        let requests = Heard { quota, lasts: Duration::from_secs(30), ago: Duration::from_millis(10) };
        assert_eq!(known, FleetLimits { total: 7, hold: None, requests: Some(requests), tokens: None });
        // One that says neither how much there is nor when it resets.
        let unsaid = fleet(&[7, 900, 30_000, -2, -1, 42, 0, 0, 0, 0, 0, 0]).unwrap();
        let heard = unsaid.requests.unwrap();
        assert_eq!((heard.quota.limit, heard.quota.resets_in, heard.ago), (None, None, Duration::ZERO));
        assert_eq!(unsaid.hold, Some(Duration::from_millis(900)));
    }
}
