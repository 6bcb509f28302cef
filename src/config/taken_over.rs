//! Which single settings a running server takes over from a configuration that is read anew: those beside the providers,
//! models, callers and issuers, which are told apart by their names.

use super::Config;
use super::settings::{Limits, Log, Stream};
use crate::domain::PromptCache;
use crate::pool::Timeouts;
use crate::route::Retry;

impl Config {
    /// The keys that differ between this configuration and `next` and hold for calls that begin after the change.
    pub fn taken_over(&self, next: &Self) -> Vec<&'static str> {
        let dir = |config: &Self| config.admitted.dir.as_ref().map(|dir| (dir.path.clone(), dir.reload_interval));
        let mut differs = vec![
            ("callers_dir.path", dir(self).map(|(path, _)| path) != dir(next).map(|(path, _)| path)),
            (
                "callers_dir.reload_interval",
                dir(self).zip(dir(next)).is_some_and(|((_, ours), (_, theirs))| ours != theirs),
            ),
            ("allow_anonymous", self.admitted.anonymous != next.admitted.anonymous),
            ("default_model", self.default_model != next.default_model),
            ("price_table", self.pricing.table != next.pricing.table || self.pricing.prices != next.pricing.prices),
        ];
        differs.extend(timeouts_differ(&self.timeouts, &next.timeouts));
        differs.extend(retry_differs(self.retry, next.retry));
        differs.push(stream_differs(&self.stream, &next.stream));
        differs.extend(limits_differ(&self.limits, &next.limits));
        differs.push(("default_max_tokens", self.default_max_tokens != next.default_max_tokens));
        differs.extend(prompts_differ(self.prompt_cache, next.prompt_cache));
        differs.push(log_differs(&self.log, &next.log));
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

// Each is taken apart without a rest, so that a setting that is new does not compile before it is put in a group.

fn timeouts_differ(ours: &Timeouts, theirs: &Timeouts) -> [(&'static str, bool); 4] {
    let Timeouts { connect, first_event, idle, attempt } = ours;
    [
        ("timeouts.connect", *connect != theirs.connect),
        ("timeouts.first_event", *first_event != theirs.first_event),
        ("timeouts.idle", *idle != theirs.idle),
        ("timeouts.attempt", *attempt != theirs.attempt),
    ]
}

fn retry_differs(ours: Retry, theirs: Retry) -> [(&'static str, bool); 3] {
    let Retry { max_attempts, base_delay, max_delay } = ours;
    [
        ("retry.max_attempts", max_attempts != theirs.max_attempts),
        ("retry.base_delay", base_delay != theirs.base_delay),
        ("retry.max_delay", max_delay != theirs.max_delay),
    ]
}

fn stream_differs(ours: &Stream, theirs: &Stream) -> (&'static str, bool) {
    let Stream { commit_after, heartbeat: _, client_stall: _ } = ours;
    ("stream.commit_after", *commit_after != theirs.commit_after)
}

fn limits_differ(ours: &Limits, theirs: &Limits) -> [(&'static str, bool); 2] {
    let Limits {
        max_request_bytes: _,
        max_bytes_in_flight: _,
        max_in_flight: _,
        max_answer_bytes,
        max_call_cost,
        shared: _,
    } = ours;
    [
        ("limits.max_answer_bytes", *max_answer_bytes != theirs.max_answer_bytes),
        ("limits.max_call_cost", *max_call_cost != theirs.max_call_cost),
    ]
}

fn prompts_differ(ours: PromptCache, theirs: PromptCache) -> [(&'static str, bool); 2] {
    let PromptCache { mode, ttl } = ours;
    [("prompt_cache.mode", mode != theirs.mode), ("prompt_cache.ttl", ttl != theirs.ttl)]
}

fn log_differs(ours: &Log, theirs: &Log) -> (&'static str, bool) {
    let Log { format: _, level } = ours;
    ("log.level", *level != theirs.level)
}
