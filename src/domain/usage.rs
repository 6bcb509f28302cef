//! What a call used: disjoint items, from which every total follows.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::{ModelId, Tokens};

/// What an attempt used. The items are the truth; totals are sums over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// How sure it is.
    pub source: UsageSource,
    /// What is priced: token items are disjoint.
    pub items: Vec<UsageItem>,
}

impl Default for Usage {
    /// Nothing is known.
    fn default() -> Self {
        Self { source: UsageSource::None, items: Vec::new() }
    }
}

/// How sure a usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsageSource {
    /// The provider's final numbers.
    Provider,
    /// The provider's numbers up to where the answer was cut.
    Partial,
    /// Our estimate.
    Estimated,
    /// Nothing is known.
    None,
}

/// One quantity with one price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageItem {
    /// What it is.
    pub kind: UsageKind,
    /// In which form.
    pub modality: Modality,
    /// The lifetime of a cache write, where the provider says it.
    pub cache_ttl: Option<Duration>,
    /// The model that did it, where that is not the one that answered.
    pub model: Option<ModelId>,
    /// Tokens or calls.
    pub quantity: u32,
    /// Whether the quantity is our estimate.
    pub estimated: bool,
}

impl UsageItem {
    /// Tokens of a kind, their form not told apart.
    pub fn tokens(kind: UsageKind, tokens: Tokens) -> Self {
        Self {
            kind,
            modality: Modality::Unspecified,
            cache_ttl: None,
            model: None,
            quantity: tokens.get(),
            estimated: false,
        }
    }

    /// The same as our estimate.
    #[must_use]
    pub fn estimated(self) -> Self {
        Self { estimated: true, ..self }
    }

    /// Whether both count the same.
    fn is_like(&self, other: &Self) -> bool {
        let Self { kind, modality, cache_ttl, model, quantity: _, estimated } = self;
        (kind, modality, cache_ttl, model, estimated)
            == (&other.kind, &other.modality, &other.cache_ttl, &other.model, &other.estimated)
    }

    /// Calls of a tool that the provider ran.
    pub fn calls(tool: impl Into<String>, count: u32) -> Self {
        let kind = UsageKind::ServerToolCall { tool: tool.into() };
        Self { kind, modality: Modality::Unspecified, cache_ttl: None, model: None, quantity: count, estimated: false }
    }
}

/// What is priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsageKind {
    /// Prompt tokens that no cache had to do with.
    Input,
    /// Prompt tokens read from the provider's cache.
    CacheRead,
    /// Prompt tokens written to it.
    CacheWrite,
    /// Answer tokens, reasoning aside.
    Output,
    /// Reasoning tokens.
    Reasoning,
    /// Tokens of a prediction that did not hold.
    RejectedPrediction,
    /// Calls of a tool that the provider ran.
    ServerToolCall {
        /// The provider's name for the tool.
        tool: String,
    },
}

/// The form of what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Modality {
    /// Not told apart.
    Unspecified,
    /// Text.
    Text,
    /// Images.
    Image,
    /// Sound.
    Audio,
}

impl Modality {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::Text, Self::Image, Self::Audio];
}

impl Usage {
    /// The provider's final numbers. Items of nothing are left out.
    pub fn reported(items: impl IntoIterator<Item = UsageItem>) -> Self {
        let items = items.into_iter().filter(|item| item.quantity > 0).collect();
        Self { source: UsageSource::Provider, items }
    }

    /// The same numbers of an answer that did not come to its end.
    #[must_use]
    pub fn cut_short(mut self) -> Self {
        if self.source == UsageSource::Provider {
            self.source = UsageSource::Partial;
        }
        self
    }

    /// What both used, in as few items as tell the same.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.source = match (self.source, other.source) {
            (one, UsageSource::None) => one,
            (UsageSource::None, other) => other,
            (one, other) if one == other => one,
            _ => UsageSource::Partial,
        };
        for item in other.items {
            match self.items.iter_mut().find(|known| known.is_like(&item)) {
                Some(known) => known.quantity = known.quantity.saturating_add(item.quantity),
                None => self.items.push(item),
            }
        }
        self
    }

    fn sum(&self, counts: impl Fn(&UsageKind) -> bool) -> Tokens {
        self.items.iter().filter(|item| counts(&item.kind)).map(|item| Tokens::new(item.quantity)).sum()
    }

    /// Tokens of the prompt, cached ones included.
    pub fn input(&self) -> Tokens {
        self.sum(|kind| matches!(kind, UsageKind::Input | UsageKind::CacheRead | UsageKind::CacheWrite))
    }

    /// Tokens of the answer, reasoning included.
    pub fn output(&self) -> Tokens {
        self.sum(|kind| matches!(kind, UsageKind::Output | UsageKind::Reasoning | UsageKind::RejectedPrediction))
    }

    /// Of the prompt: read from the provider's cache.
    pub fn cache_read(&self) -> Tokens {
        self.sum(|kind| *kind == UsageKind::CacheRead)
    }

    /// Of the prompt: written to the provider's cache.
    pub fn cache_write(&self) -> Tokens {
        self.sum(|kind| *kind == UsageKind::CacheWrite)
    }

    /// Of the answer: reasoning.
    pub fn reasoning(&self) -> Tokens {
        self.sum(|kind| *kind == UsageKind::Reasoning)
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.source == UsageSource::None
    }
}
