//! What is asked and told of answers that are there already.

use std::time::Duration;

use uuid::Uuid;

use super::content::ttl;
use super::usage::{cost, usage};
use super::violations::{Path, Violations};
use crate::domain::{CacheMode, OnDisconnect, Origin, RequestId, ResponseCache, Saved};
use crate::proto;

/// The caller's own id of the call.
pub(super) fn request_id(text: &str, found: &mut Violations) -> Option<RequestId> {
    if text.is_empty() {
        return None;
    }
    let id = Uuid::try_parse(text);
    found.check(id.is_ok(), &Path::ROOT.field("request_id"), "must be a UUID");
    id.ok().map(RequestId::new)
}

/// What becomes of a call whose caller goes away; `has_id`: whether anybody could find it then.
pub(super) fn on_disconnect(number: i32, has_id: bool, found: &mut Violations) -> OnDisconnect {
    use proto::OnDisconnect as Proto;
    let path = Path::ROOT.field("on_disconnect");
    match found.enum_value(number, &path) {
        None | Some(Proto::Unspecified | Proto::Cancel) => OnDisconnect::Cancel,
        Some(Proto::Finish) => {
            found.check(has_id, &path, "must not be FINISH without a `request_id`, by which the answer is found");
            OnDisconnect::Finish
        }
    }
}

/// What is wanted of the cache of answers.
pub(super) fn cache(message: Option<proto::ResponseCache>, found: &mut Violations) -> ResponseCache {
    use proto::CacheMode as Proto;
    let Some(message) = message else { return ResponseCache::default() };
    let path = Path::ROOT.field("cache");
    let mode = match found.enum_value(message.mode, &path.field("mode")) {
        None | Some(Proto::Unspecified | Proto::Default) => CacheMode::Default,
        Some(Proto::Bypass) => CacheMode::Bypass,
        Some(Proto::Refresh) => CacheMode::Refresh,
        Some(Proto::OnlyIfCached) => CacheMode::OnlyIfCached,
    };
    let of_ttl = path.field("ttl");
    let ttl = message.ttl.and_then(|message| ttl(message, &of_ttl, found));
    found.check(ttl != Some(Duration::ZERO), &of_ttl, "must be above 0; BYPASS leaves the cache out");
    found.check(ttl.is_none() || mode != CacheMode::Bypass, &of_ttl, "must not be set with BYPASS");
    ResponseCache { mode, ttl }
}

/// Where an answer comes from.
pub(super) fn cache_status(origin: Origin) -> proto::CacheStatus {
    match origin {
        Origin::Bypassed => proto::CacheStatus::Bypassed,
        Origin::Missed => proto::CacheStatus::Miss,
        Origin::Hit => proto::CacheStatus::Hit,
        Origin::Coalesced => proto::CacheStatus::Coalesced,
        Origin::Replayed(_) => proto::CacheStatus::Replayed,
    }
}

/// What an answer has spared.
pub(super) fn saved(saved: Saved) -> proto::Saved {
    proto::Saved { usage: Some(usage(saved.usage)), cost: saved.cost.map(cost) }
}
