//! What the answers of one endpoint teach about the next one: tokens for each byte, and how long answers are.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::Tokens;

/// How many tokens a byte is before anything was learned: four bytes to a token, which is high for most text.
const UNLEARNED: f64 = 0.25;
/// How much the newest answer counts.
const WEIGHT: f64 = 0.1;
/// Answers that are remembered for their length.
const REMEMBERED: usize = 64;
/// With fewer answers no length is expected.
const ENOUGH: usize = 8;
/// Texts that are shorter tell more about what is around them than about themselves.
const TELLING_BYTES: usize = 64;
/// The tokens for each byte that one answer can teach. What a provider reports beyond is no property of the text: learned
/// as it is, one such number would keep calls that have a bound on their cost away from the endpoint for good.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.01..=4.0;

/// What was learned about one model at one account. Cheap enough for every call.
#[derive(Debug)]
pub struct Learned(Mutex<Lessons>);

#[derive(Debug)]
struct Lessons {
    prompt: f64,
    answer: f64,
    lengths: VecDeque<Tokens>,
}

impl Default for Learned {
    fn default() -> Self {
        Self(Mutex::new(Lessons { prompt: UNLEARNED, answer: UNLEARNED, lengths: VecDeque::new() }))
    }
}

impl Learned {
    /// A prompt with this much text had so many tokens.
    pub fn prompt(&self, bytes: usize, tokens: Tokens) {
        let mut lessons = self.lessons();
        learn(&mut lessons.prompt, bytes, tokens);
    }

    /// This much text of an answer had so many tokens.
    pub fn answer(&self, bytes: usize, tokens: Tokens) {
        let mut lessons = self.lessons();
        learn(&mut lessons.answer, bytes, tokens);
    }

    /// An answer that came to its end had so many tokens in all, reasoning that was not shown included.
    pub fn length(&self, tokens: Tokens) {
        let mut lessons = self.lessons();
        if lessons.lengths.len() == REMEMBERED {
            lessons.lengths.pop_front();
        }
        lessons.lengths.push_back(tokens);
    }

    /// How many tokens a prompt with this much text is expected to have.
    pub fn of_prompt(&self, bytes: usize) -> Tokens {
        expect(self.lessons().prompt, bytes)
    }

    /// How many tokens this much text of an answer is expected to have.
    pub fn of_answer(&self, bytes: usize) -> Tokens {
        expect(self.lessons().answer, bytes)
    }

    /// How long an answer is expected to be: the median of the recent ones; none: there are too few.
    pub fn answer_length(&self) -> Option<Tokens> {
        let lessons = self.lessons();
        let mut lengths: Vec<Tokens> = lessons.lengths.iter().copied().collect();
        lengths.sort_unstable();
        lengths.get(lengths.len() / 2).copied().filter(|_| lengths.len() >= ENOUGH)
    }

    fn lessons(&self) -> std::sync::MutexGuard<'_, Lessons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn learn(factor: &mut f64, bytes: usize, tokens: Tokens) {
    if bytes < TELLING_BYTES || tokens == Tokens::ZERO {
        return;
    }
    let seen = f64::from(tokens.get()) / f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    *factor += WEIGHT * (seen.clamp(*PLAUSIBLE.start(), *PLAUSIBLE.end()) - *factor);
}

fn expect(factor: f64, bytes: usize) -> Tokens {
    let tokens = (factor * f64::from(u32::try_from(bytes).unwrap_or(u32::MAX))).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest integer that there is")]
    Tokens::saturating(tokens as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_report_replaces_the_rule_of_thumb() {
        let learned = Learned::default();
        assert_eq!(learned.of_prompt(4000), Tokens::new(1000));
        for _ in 0..100 {
            learned.prompt(3000, Tokens::new(1000));
            learned.prompt(10, Tokens::new(1000));
        }
        let estimate = learned.of_prompt(3000).get();
        assert!((999..=1001).contains(&estimate), "{estimate}");
        assert_eq!(learned.of_answer(4000), Tokens::new(1000), "prompts say nothing about answers");
    }

    #[test]
    fn a_length_is_expected_when_there_were_enough_answers() {
        let learned = Learned::default();
        for length in 1..=7 {
            learned.length(Tokens::new(length * 100));
        }
        assert_eq!(learned.answer_length(), None);
        learned.length(Tokens::new(10_000));
        assert_eq!(learned.answer_length(), Some(Tokens::new(500)));
    }

    #[test]
    fn one_number_that_cannot_be_true_does_not_spoil_what_is_expected() {
        let learned = Learned::default();
        learned.prompt(100, Tokens::new(i32::MAX.unsigned_abs()));
        learned.answer(100, Tokens::new(i32::MAX.unsigned_abs()));
        assert!(learned.of_prompt(1000) <= Tokens::new(1000));
        assert!(learned.of_answer(1000) <= Tokens::new(1000));
        (0..1000).for_each(|_| learned.prompt(3_000_000, Tokens::new(1)));
        assert!(learned.of_prompt(100_000) >= Tokens::new(1000));
    }

    #[test]
    fn nothing_is_too_long() {
        let learned = Learned::default();
        learned.prompt(usize::MAX, Tokens::new(u32::MAX));
        assert_eq!(Learned::default().of_prompt(usize::MAX), Tokens::new(1 << 30));
        assert_eq!(learned.of_answer(0), Tokens::ZERO);
    }
}
