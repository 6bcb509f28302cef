//! What a result adds to the sums of a batch, and the sums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{PicoSum, PicoUsd};

/// What one result says of its call, over all times that it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Why it failed: a reason of `ErrorInfo`, else the name of the code. Empty: it was answered.
    pub(super) reason: String,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) pico_usd: i64,
    /// Whether it used something whose price is not known.
    pub(super) unpriced: bool,
    /// Whether the answer was there already.
    pub(super) cached: bool,
}

impl Figures {
    /// Adds what an earlier time used, of an item that was asked again.
    pub(super) fn add_spent(&mut self, earlier: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(earlier.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(earlier.output_tokens);
        self.pico_usd = self.pico_usd.saturating_add(earlier.pico_usd);
        self.unpriced |= earlier.unpriced;
    }
}

/// The sums over all results of the output, those of earlier runs included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) by_reason: BTreeMap<String, u64>,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cost: PicoSum,
    /// Results whose price is not known: the cost is that of the others.
    pub(super) unpriced: u64,
    pub(super) cached: u64,
}

impl Tally {
    /// Adds a result.
    pub(super) fn add(&mut self, figures: &Figures) {
        if figures.reason.is_empty() {
            self.answered = self.answered.saturating_add(1);
        } else {
            self.failed = self.failed.saturating_add(1);
            let count = self.by_reason.entry(figures.reason.clone()).or_default();
            *count = count.saturating_add(1);
        }
        self.input_tokens = self.input_tokens.saturating_add(figures.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(figures.output_tokens);
        self.cost += PicoUsd::new(figures.pico_usd).into();
        self.unpriced = self.unpriced.saturating_add(u64::from(figures.unpriced));
        self.cached = self.cached.saturating_add(u64::from(figures.cached));
    }

    /// Results so far.
    pub(super) fn done(&self) -> u64 {
        self.answered.saturating_add(self.failed)
    }

    /// Tokens so far, of prompts and answers.
    pub(super) fn tokens(&self) -> i64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
