//! Sums in Redis or Valkey: several processes share them.
//!
//! A hash for each hour, a field for each number of a row. A script adds a batch as a whole and remembers its number, so
//! that a batch whose answer was lost is not added again when it is handed in again. All keys have the same hash tag
//! and stay together; all expire.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{BoxFuture, ready};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Script};
use uuid::Uuid;

use super::super::redis::{RedisError, RedisUrl, reading_text, with_tls};
use super::archive::{Archive, Batch, Place, StoreError};
use super::row::{PARTS, Subject, Sums};

/// What all keys begin with. The number says how they are laid out.
const PREFIX: &str = "{completiond}:usage:1";
/// How long one command and one connection may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Adds a batch: KEYS are the number of the last one of this process, the hour, and since when there are sums; ARGV its
/// number, how long keys are kept, when the hour expires, the time, and then fields and what to add to them. A script that
/// fails leaves what it has done until then: so it takes back what it has added, and notes the number at the end. What is no
/// number, or no hash, is none of ours, and replaced.
const ADD: &str = reading_text!(
    r"
local last = tonumber(text(KEYS[1]) or '')
if last and last >= tonumber(ARGV[1]) then return 0 end
local function add(field, by)
  local added = redis.pcall('HINCRBY', KEYS[2], field, by)
  if type(added) ~= 'table' or not added.err then return added end
  if string.find(added.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', KEYS[2])
  elseif string.find(added.err, 'hash value is not', 1, true) then
    redis.call('HDEL', KEYS[2], field)
  else
    return added
  end
  return redis.pcall('HINCRBY', KEYS[2], field, by)
end
for i = 5, #ARGV, 2 do
  local added = add(ARGV[i], ARGV[i + 1])
  if type(added) == 'table' and added.err then
    for j = 5, i - 2, 2 do
      local back = ('-' .. ARGV[j + 1]):gsub('^%-%-', '')
      redis.call('HINCRBY', KEYS[2], ARGV[j], back)
    end
    return added
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[4], 'NX')
redis.call('EXPIRE', KEYS[3], ARGV[2])
redis.call('EXPIREAT', KEYS[2], ARGV[3])
return 1
"
);

pub(super) struct Redis {
    connection: ConnectionManager,
    add: Script,
    /// Where the number of this process's last batch stands.
    last: String,
    /// How many hours are kept.
    keep: u32,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

impl Redis {
    /// Gets ready to ask the Redis at `url`, which need not be there yet.
    ///
    /// # Errors
    /// It is no address of one.
    pub(super) fn open(url: &RedisUrl, keep: u32) -> Result<Self, RedisError> {
        with_tls();
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(PATIENCE)
            .set_response_timeout(Some(PATIENCE * 5))
            .set_connection_timeout(Some(PATIENCE));
        let connection = ConnectionManager::new_lazy_with_config(url.client()?, settings);
        let connection = connection.map_err(|_| RedisError::NO_ADDRESS)?;
        let last = format!("{PREFIX}:last:{}", Uuid::now_v7());
        Ok(Self { connection, add: Script::new(ADD), last, keep })
    }

    fn hour(hour: u32) -> String {
        format!("{PREFIX}:hour:{hour}")
    }

    fn since_key() -> String {
        format!("{PREFIX}:since")
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A number of a row as it stands there; none: it is none of ours.
fn read(field: &[u8], number: &[u8]) -> Option<(Subject, usize, i64)> {
    let (part, subject) = std::str::from_utf8(field).ok()?.split_once(':')?;
    let part = part.parse().ok().filter(|part| *part < PARTS)?;
    Some((Subject::decoded(subject)?, part, std::str::from_utf8(number).ok()?.parse().ok()?))
}

fn told(error: &redis::RedisError) -> StoreError {
    StoreError(super::super::redis::told(error))
}

impl Archive for Redis {
    fn place(&self) -> Place {
        Place::Redis
    }

    fn add<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        let keep = u64::from(self.keep) * 3600;
        let mut script = self.add.prepare_invoke();
        script.key(&self.last).key(Self::hour(batch.hour)).key(Self::since_key());
        script.arg(batch.number).arg(keep).arg((u64::from(batch.hour) + 1) * 3600 + keep).arg(seconds_now());
        for (subject, sums) in &batch.rows {
            let Some(subject) = subject.encoded() else { continue };
            for (part, number) in sums.parts().into_iter().enumerate().filter(|(_, number)| *number != 0) {
                script.arg(format!("{part}:{subject}")).arg(number);
            }
        }
        let mut connection = self.connection.clone();
        Box::pin(async move { script.invoke_async(&mut connection).await.map_err(|error| told(&error)) })
    }

    fn hours(&self, first: u32, last: u32) -> BoxFuture<'_, Result<Vec<u32>, StoreError>> {
        // Nothing is kept of the time to come, and nothing older than the oldest hour is asked for.
        let now = super::hour_of(SystemTime::now());
        let hours: Vec<u32> = (first.max(now.saturating_sub(self.keep))..=last.min(now.saturating_add(1))).collect();
        let mut connection = self.connection.clone();
        Box::pin(async move {
            if hours.is_empty() {
                return Ok(Vec::new());
            }
            let mut pipeline = redis::pipe();
            for hour in &hours {
                pipeline.exists(Self::hour(*hour));
            }
            let there: Vec<bool> = pipeline.query_async(&mut connection).await.map_err(|error| told(&error))?;
            Ok(hours.into_iter().zip(there).filter_map(|(hour, there)| there.then_some(hour)).collect())
        })
    }

    fn rows(&self, hour: u32) -> BoxFuture<'_, Result<Vec<(Subject, Sums)>, StoreError>> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let fields: HashMap<Vec<u8>, Vec<u8>> = match connection.hgetall(Self::hour(hour)).await {
                Err(error) if error.code() == Some("WRONGTYPE") => HashMap::new(),
                read => read.map_err(|error| told(&error))?,
            };
            let (mut rows, mut strange) = (HashMap::<Subject, [i64; PARTS]>::new(), 0_u64);
            for (field, number) in fields {
                match read(&field, &number) {
                    Some((subject, part, number)) => {
                        let parts = rows.entry(subject).or_default().get_mut(part);
                        parts.into_iter().for_each(|place| *place = number);
                    }
                    None => strange += 1,
                }
            }
            if strange > 0 {
                tracing::warn!(hour, fields = strange, "what is none of ours among the sums of an hour is left aside");
            }
            Ok(rows.into_iter().map(|(subject, parts)| (subject, Sums::of_parts(parts))).collect())
        })
    }

    fn since(&self) -> BoxFuture<'_, Result<SystemTime, StoreError>> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let read = connection.mget(&[Self::since_key()]).await.map_err(|error| told(&error));
            let (since,): (Option<Vec<u8>>,) = read?;
            let since: Option<u64> = since.and_then(|since| std::str::from_utf8(&since).ok()?.parse().ok());
            Ok(UNIX_EPOCH + Duration::from_secs(since.unwrap_or_else(seconds_now)))
        })
    }

    fn forget(&self, _: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        // The keys expire by themselves.
        Box::pin(ready(Ok(())))
    }
}
