//! A row of the sums: what it is about, and what was used for that in one hour.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::domain::PicoSum;

/// The numbers that a row is kept as.
pub(super) const PARTS: usize = 15;
/// What costs are split by, so that the sum of each part stays within 64 bits.
const DOLLAR: i128 = 1_000_000_000_000;

/// What a row is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// The hour in which the calls ended, counted from 1970.
    pub(super) hour: u32,
    /// The rest.
    pub(super) subject: Subject,
}

/// What a row is about, in whichever hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The caller; empty: nobody whose name is known.
    pub caller: String,
    /// The name that was asked for; empty: the default.
    pub model: String,
    /// `provider/model`; empty: nobody was asked.
    pub endpoint: String,
    /// The labels that the configuration names and the call had, by their keys.
    pub labels: Vec<(String, String)>,
}

impl Subject {
    /// As it is kept; none: it cannot be written, which no text causes.
    pub(super) fn encoded(&self) -> Option<String> {
        serde_json::to_string(&(&self.caller, &self.model, &self.endpoint, &self.labels)).ok()
    }

    /// What was kept; none: it is none of ours.
    pub(super) fn decoded(text: &str) -> Option<Self> {
        let (caller, model, endpoint, labels) = serde_json::from_str(text).ok()?;
        Some(Self { caller, model, endpoint, labels })
    }
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls that were answered completely.
    pub succeeded: i64,
    /// Calls that failed.
    pub failed: i64,
    /// Calls whose callers went away.
    pub cancelled: i64,
    /// Requests that were sent upstream.
    pub attempts: i64,
    /// Tokens of prompts, cached ones included.
    pub input: i64,
    /// Tokens of answers, reasoning included.
    pub output: i64,
    /// Of the prompts: read from caches.
    pub cache_read: i64,
    /// Of the prompts: written to caches.
    pub cache_write: i64,
    /// Of the answers: reasoning.
    pub reasoning: i64,
    /// Of all tokens: estimated.
    pub estimated: i64,
    /// Requests that used something and whose price is not known.
    pub unpriced: i64,
    /// What it cost.
    pub cost: PicoSum,
    /// Of that: what rests on estimated quantities.
    pub estimated_cost: PicoSum,
}

impl Sums {
    /// The numbers to keep. The sum of each over many parts is the part of the sum.
    pub(super) fn parts(&self) -> [i64; PARTS] {
        let (dollars, rest) = split(self.cost);
        let (estimated_dollars, estimated_rest) = split(self.estimated_cost);
        [
            self.succeeded,
            self.failed,
            self.cancelled,
            self.attempts,
            self.input,
            self.output,
            self.cache_read,
            self.cache_write,
            self.reasoning,
            self.estimated,
            self.unpriced,
            dollars,
            rest,
            estimated_dollars,
            estimated_rest,
        ]
    }

    pub(super) fn of_parts(parts: [i64; PARTS]) -> Self {
        let [
            succeeded,
            failed,
            cancelled,
            attempts,
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
            estimated,
            unpriced,
            dollars,
            rest,
            estimated_dollars,
            estimated_rest,
        ] = parts;
        Self {
            succeeded,
            failed,
            cancelled,
            attempts,
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
            estimated,
            unpriced,
            cost: joined(dollars, rest),
            estimated_cost: joined(estimated_dollars, estimated_rest),
        }
    }
}

impl AddAssign<&Self> for Sums {
    fn add_assign(&mut self, other: &Self) {
        let pairs = [
            (&mut self.succeeded, other.succeeded),
            (&mut self.failed, other.failed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.attempts, other.attempts),
            (&mut self.input, other.input),
            (&mut self.output, other.output),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.reasoning, other.reasoning),
            (&mut self.estimated, other.estimated),
            (&mut self.unpriced, other.unpriced),
        ];
        // Nobody counts that far; a sum that stands still is better than one that turns negative.
        pairs.into_iter().for_each(|(place, more)| *place = place.saturating_add(more));
        self.cost += other.cost;
        self.estimated_cost += other.estimated_cost;
    }
}

fn split(cost: PicoSum) -> (i64, i64) {
    let (dollars, rest) = (cost.get().div_euclid(DOLLAR), cost.get().rem_euclid(DOLLAR));
    (i64::try_from(dollars).unwrap_or(i64::MAX), i64::try_from(rest).unwrap_or(0))
}

fn joined(dollars: i64, rest: i64) -> PicoSum {
    PicoSum::new(i128::from(dollars) * DOLLAR + i128::from(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_summed_up() {
        for pico in [0, 1, DOLLAR - 1, DOLLAR, 7 * DOLLAR + 13, i128::from(i64::MAX) * 1_000_000, -1, -DOLLAR - 5] {
            let sums = Sums { succeeded: 3, cost: PicoSum::new(pico), reasoning: 9, ..Sums::default() };
            assert_eq!(Sums::of_parts(sums.parts()), sums);
        }
    }

    #[test]
    fn parts_that_are_summed_up_one_by_one_are_the_same_sum() {
        let (one, other) = (PicoSum::new(2 * DOLLAR - 1), PicoSum::new(3 * DOLLAR - 2));
        let mut whole = Sums { cost: one, estimated_cost: other, ..Sums::default() };
        let more = Sums { cost: other, estimated_cost: one, ..Sums::default() };
        let mut parts = whole.parts();
        parts.iter_mut().zip(more.parts()).for_each(|(part, more)| *part += more);
        whole += &more;
        assert_eq!(Sums::of_parts(parts), whole);
        assert_eq!(whole.cost, PicoSum::new(5 * DOLLAR - 3));
    }

    #[test]
    fn any_text_is_kept_as_it_is() {
        let labels = vec![("team".to_owned(), "a\"]\u{0}\n:é".to_owned())];
        let subject = Subject { model: "x:1/[\"".to_owned(), labels, ..Subject::default() };
        assert_eq!(Subject::decoded(&subject.encoded().unwrap()), Some(subject));
        assert_eq!(Subject::decoded("{}"), None);
    }
}
