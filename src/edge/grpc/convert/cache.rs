//! The cache of answers, as operators see it.

use super::list_usage::timestamp;
use crate::domain::Error;
use crate::pipeline::Tallied;
use crate::proto;
use crate::store::{AnswerStats, Health, Scope};

/// What the cache has and has done.
pub(crate) fn cache_stats(enabled: bool, stats: AnswerStats, done: Tallied) -> proto::GetCacheStatsResponse {
    let mut saved = done.hit.cost;
    saved += done.coalesced.cost;
    proto::GetCacheStatsResponse {
        enabled,
        entries: number(stats.entries),
        bytes: number(stats.bytes),
        max_bytes: number(stats.max_bytes),
        hits: number(done.hit.calls),
        misses: number(done.missed.saturating_add(done.coalesced.calls)),
        coalesced: number(done.coalesced.calls),
        evictions: number(stats.evictions),
        saved_usd: saved.to_string(),
        shared: stats.shared.map(shared),
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn shared(health: Health) -> proto::SharedCache {
    let (last_error, at) = health.last_error.unzip();
    proto::SharedCache {
        available: health.available,
        last_error: last_error.unwrap_or_default(),
        last_error_time: at.map(timestamp),
        failures: number(health.failures),
    }
}

/// What to forget.
///
/// # Errors
/// `INVALID_REQUEST`: nothing is named.
pub(crate) fn scope(request: proto::ClearCacheRequest) -> Result<Scope, Error> {
    use proto::clear_cache_request::Scope as Proto;
    match request.scope {
        Some(Proto::All(true)) => Ok(Scope::All),
        Some(Proto::All(false)) => Err(Error::invalid("all", "must be true")),
        Some(Proto::Model(model)) => Ok(Scope::Model(model)),
        Some(Proto::Caller(caller)) => Ok(Scope::Caller(caller)),
        None => Err(Error::invalid("scope", "must be set: `all`, `model` or `caller`")),
    }
}
