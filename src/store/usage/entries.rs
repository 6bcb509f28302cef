//! From a call to its rows.

use std::time::{SystemTime, UNIX_EPOCH};

use super::row::{Key, Subject, Sums};
use crate::domain::{Attempt, AttemptOutcome, Cost, PicoSum, Reason, Usage, UsageItem, UsageKind, UsageSource};
use crate::store::{Asked, Fate};

/// What stands for the names that nothing answers to: callers can make up any number of them.
const UNKNOWN: &str = "(unknown)";

/// The hour of a time.
pub fn hour_of(time: SystemTime) -> u32 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds / 3600).unwrap_or(u32::MAX)
}

/// The rows of a call that has ended `at` that time: one for each endpoint that was asked. The call itself counts at the
/// endpoint that answered, else at the one that was asked last, else at none, so that it counts once.
pub(super) fn rows(
    asked: &Asked,
    fate: &Fate,
    attempts: &[Attempt],
    at: SystemTime,
    labels: &[String],
) -> Vec<(Key, Sums)> {
    let name = asked.model.as_ref().map(ToString::to_string).unwrap_or_default();
    // The names of the configuration have no slash, and whoever asks for one of them shall see how it fares.
    let made_up = name.contains('/');
    let model = match fate {
        Fate::Failed { reason: Reason::ModelNotFound, .. } => UNKNOWN.to_owned(),
        Fate::Failed { reason: Reason::ProviderModelNotFound, .. } if made_up => UNKNOWN.to_owned(),
        _ => name,
    };
    let named = labels.iter().filter_map(|key| Some((key.clone(), asked.labels.get(key)?.clone())));
    let mut named: Vec<_> = named.collect();
    named.sort();
    let key = |endpoint: String| {
        let subject =
            Subject { caller: asked.caller.to_string(), model: model.clone(), endpoint, labels: named.clone() };
        Key { hour: hour_of(at), subject }
    };
    let mut rows: Vec<(Key, Sums)> = Vec::with_capacity(1);
    let mut last = None;
    for attempt in attempts.iter().filter(|attempt| !matches!(attempt.outcome, AttemptOutcome::Skipped(_))) {
        let at = place(&mut rows, key(endpoint(attempt, made_up)));
        if attempt.outcome == AttemptOutcome::Finished || !matches!(fate, Fate::Succeeded(_)) || last.is_none() {
            last = Some(at);
        }
        *sums(&mut rows, at) += &of_attempt(attempt);
    }
    let at = last.unwrap_or_else(|| place(&mut rows, key(String::new())));
    let call = sums(&mut rows, at);
    match fate {
        Fate::Succeeded(_) => call.succeeded += 1,
        Fate::Failed { .. } => call.failed += 1,
        Fate::Cancelled => call.cancelled += 1,
    }
    rows
}

/// Where the row of `key` stands.
fn place(rows: &mut Vec<(Key, Sums)>, key: Key) -> usize {
    let at = rows.iter().position(|(other, _)| *other == key).unwrap_or(rows.len());
    if at == rows.len() {
        rows.push((key, Sums::default()));
    }
    at
}

fn sums(rows: &mut [(Key, Sums)], at: usize) -> &mut Sums {
    #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
    &mut rows[at].1
}

fn endpoint(attempt: &Attempt, made_up: bool) -> String {
    match attempt.outcome {
        AttemptOutcome::Failed(Reason::ProviderModelNotFound) if made_up => {
            format!("{}/{UNKNOWN}", attempt.endpoint.provider)
        }
        _ => attempt.endpoint.name(),
    }
}

fn of_attempt(attempt: &Attempt) -> Sums {
    let mut sums = Sums { attempts: 1, ..Sums::default() };
    if let Some(usage) = &attempt.usage {
        count(usage, &mut sums);
    }
    match &attempt.cost {
        Some(Cost { amount, estimated, .. }) => {
            sums.cost = PicoSum::from(*amount);
            if *estimated {
                sums.estimated_cost = sums.cost;
            }
        }
        // A request that was refused before anything came has cost nothing.
        None => sums.unpriced = i64::from(has_used(attempt)),
    }
    sums
}

fn has_used(attempt: &Attempt) -> bool {
    attempt.outcome == AttemptOutcome::Finished
        || attempt.time_to_first_event.is_some()
        || attempt.usage.as_ref().is_some_and(|usage| !usage.items.is_empty())
}

/// The totals are those of the domain, added up without its bound.
fn count(usage: &Usage, sums: &mut Sums) {
    for item in &usage.items {
        let quantity = i64::from(item.quantity);
        let UsageItem { kind, estimated, .. } = item;
        match kind {
            UsageKind::Input => sums.input += quantity,
            UsageKind::CacheRead => {
                sums.input += quantity;
                sums.cache_read += quantity;
            }
            UsageKind::CacheWrite => {
                sums.input += quantity;
                sums.cache_write += quantity;
            }
            UsageKind::Output | UsageKind::RejectedPrediction => sums.output += quantity,
            UsageKind::Reasoning => {
                sums.output += quantity;
                sums.reasoning += quantity;
            }
            UsageKind::ServerToolCall { .. } => continue,
        }
        if *estimated || usage.source == UsageSource::Estimated {
            sums.estimated += quantity;
        }
    }
}
