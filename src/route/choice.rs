//! Whom to ask among equals: the target of a conversation, else the better of two that are drawn by weight.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::pool::{Access, Standing};

/// A target that may be asked now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Its name, the same on every replica.
    pub(super) name: &'a str,
    /// Its share among its equals.
    pub(super) weight: u32,
    /// How it stands.
    pub(super) standing: Standing,
}

/// How much better the second of two must be to be taken instead of the first: below that it is noise, and weights
/// decide.
const CLEARLY: f64 = 1.25;
/// An endpoint that takes this many times as long as the fastest of its equals is an outlier...
const OUTLIER: u32 = 4;
/// ...if that is also this much longer.
const OUTLIER_AT_LEAST: Duration = Duration::from_secs(1);

/// The place of the one to ask; none when there are no candidates. `roll(n)` gives a number below `n`.
///
/// An endpoint that waits for its probe goes first: it costs one call for each pause, and is how it comes back. Then
/// those that are neither outliers nor short of their rate limits; the others are asked when nobody else is left.
pub(super) fn choose(
    candidates: &[Candidate<'_>],
    conversation: Option<&str>,
    mut roll: impl FnMut(u64) -> u64,
) -> Option<usize> {
    if let Some(probe) = candidates.iter().position(|candidate| candidate.standing.access == Access::Probe) {
        return Some(probe);
    }
    let fastest = candidates.iter().filter_map(|candidate| candidate.standing.latency).min();
    let is_spared =
        |candidate: &Candidate<'_>| candidate.standing.is_short || is_outlier(candidate.standing.latency, fastest);
    let places = |spared: bool| {
        let places = candidates.iter().enumerate().filter(move |(_, candidate)| is_spared(candidate) == spared);
        places.map(|(place, candidate)| (place, *candidate)).collect::<Vec<_>>()
    };
    let mut from = places(false);
    if from.is_empty() {
        from = places(true);
    }
    if let Some(conversation) = conversation {
        return of_conversation(&from, conversation);
    }
    let first = draw(&mut from, &mut roll)?;
    let Some(second) = draw(&mut from, &mut roll) else { return Some(first.0) };
    let weights = [first.1.weight, second.1.weight];
    let mean = f64::from(weights.into_iter().fold(0, u32::saturating_add)) / 2.0;
    let both_known = first.1.standing.latency.is_some() && second.1.standing.latency.is_some();
    let cost = |candidate: &Candidate<'_>| {
        let latency = candidate.standing.latency.filter(|_| both_known).map_or(1.0, |latency| latency.as_secs_f64());
        latency.max(0.001) * (1.0 + f64::from(candidate.standing.in_flight) * mean / f64::from(candidate.weight.max(1)))
    };
    Some(if cost(&first.1) > CLEARLY * cost(&second.1) { second.0 } else { first.0 })
}

fn is_outlier(latency: Option<Duration>, fastest: Option<Duration>) -> bool {
    let (Some(latency), Some(fastest)) = (latency, fastest) else { return false };
    latency > fastest.saturating_mul(OUTLIER) && latency.saturating_sub(fastest) > OUTLIER_AT_LEAST
}

/// Takes one out, each as often as its weight says.
fn draw<'a>(
    from: &mut Vec<(usize, Candidate<'a>)>,
    roll: &mut impl FnMut(u64) -> u64,
) -> Option<(usize, Candidate<'a>)> {
    let total: u64 = from.iter().map(|(_, candidate)| u64::from(candidate.weight)).sum();
    let mut left = if total == 0 || from.len() == 1 { 0 } else { roll(total) };
    let drawn = from.iter().position(|(_, candidate)| {
        let weight = u64::from(candidate.weight);
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    });
    (!from.is_empty()).then(|| from.remove(drawn.unwrap_or(0)))
}

/// Rendezvous hashing by weight: every replica sends a conversation to the same target, and when one falls out only its
/// own conversations move.
fn of_conversation(from: &[(usize, Candidate<'_>)], conversation: &str) -> Option<usize> {
    let score = |candidate: &Candidate<'_>| {
        let mut hash = Sha256::new();
        hash.update(conversation.as_bytes());
        hash.update([0]);
        hash.update(candidate.name.as_bytes());
        let first: [u8; 4] = hash.finalize().first_chunk().copied().unwrap_or_default();
        // Strictly between 0 and 1, so that the logarithm is finite and below zero.
        let uniform = (f64::from(u32::from_be_bytes(first)) + 0.5) / (f64::from(u32::MAX) + 1.0);
        -f64::from(candidate.weight.max(1)) / uniform.ln()
    };
    let best = from.iter().max_by(|(_, one), (_, other)| score(one).total_cmp(&score(other)))?;
    Some(best.0)
}

#[cfg(test)]
mod tests;
