//! The cache of answers, as operators see it.

use crate::domain::Error;
use crate::pipeline::ReuseCounts;
use crate::proto;
use crate::store::{AnswerStats, Scope};

/// What the cache has and has done.
pub(crate) fn cache_stats(enabled: bool, stats: AnswerStats, counts: ReuseCounts) -> proto::GetCacheStatsResponse {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    proto::GetCacheStatsResponse {
        enabled,
        entries: number(stats.entries),
        bytes: number(stats.bytes),
        max_bytes: number(stats.max_bytes),
        hits: number(counts.hits),
        misses: number(counts.misses),
        coalesced: number(counts.coalesced),
        evictions: number(stats.evictions),
        saved_usd: counts.saved.to_string(),
        shared: None,
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
