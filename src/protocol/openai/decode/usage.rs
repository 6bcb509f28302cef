//! What was used, from a provider's sums to disjoint items.

use std::num::NonZero;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{count, object};
use crate::domain::{Modality, PicoUsd, Tokens, Usage, UsageItem, UsageKind};

/// Pico-dollars in a tick, of which 10^10 are a dollar.
const PICO_PER_TICK: i64 = 100;

/// What a provider reports about the whole answer so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) usage: Usage,
    pub(super) cost: Option<PicoUsd>,
}

impl Reported {
    /// The same with the lifetime of what was written to the prompt cache, which the provider does not say by itself.
    pub(super) fn kept_for(mut self, lifetime: Option<Duration>) -> Self {
        for item in self.usage.items.iter_mut().filter(|item| item.kind == UsageKind::CacheWrite) {
            item.cache_ttl = item.cache_ttl.or(lifetime);
        }
        self
    }
}

#[derive(Default, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
    // What other servers report beside the details.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    num_sources_used: Option<&'a RawValue>,
    #[serde(borrow)]
    num_search_queries: Option<&'a RawValue>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    #[serde(borrow)]
    cost_in_usd_ticks: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    image_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    rejected_prediction_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TotalCost<'a> {
    #[serde(borrow)]
    total_cost: Option<&'a RawValue>,
}

/// Reads a usage object; none where it says nothing.
pub(super) fn reported(raw: Option<&RawValue>) -> Option<Reported> {
    let wire: Wire<'_> = object(raw)?;
    if wire.prompt_tokens.is_none() && wire.completion_tokens.is_none() {
        return None;
    }
    let mut items = Vec::new();
    input(&wire, &mut items);
    output(&wire, &mut items);
    for (tool, calls) in [("sources", wire.num_sources_used), ("search_queries", wire.num_search_queries)] {
        if let Some(calls) = NonZero::new(tokens(calls).get()) {
            items.push(UsageItem::calls(tool, calls.get()));
        }
    }
    // A number that cannot be true is none: what it should have told is estimated.
    let is_number = |raw: Option<&RawValue>| raw.is_none() || count(raw).is_some_and(|count| count >= 0);
    let told = [wire.prompt_tokens, wire.completion_tokens].map(is_number);
    let usage = match told {
        [true, true] => Usage::reported(items),
        [false, false] => Usage::default(),
        _ => Usage::reported(items).cut_short(),
    };
    Some(Reported { usage, cost: cost(&wire) })
}

fn tokens(raw: Option<&RawValue>) -> Tokens {
    Tokens::saturating(count(raw).unwrap_or(0))
}

/// The prompt: its sum includes what was read from and written to a cache.
fn input(wire: &Wire<'_>, items: &mut Vec<UsageItem>) {
    let details: Details<'_> = object(wire.prompt_tokens_details).unwrap_or_default();
    let prompt = tokens(wire.prompt_tokens);
    let cached = details.cached_tokens.or(wire.prompt_cache_hit_tokens).or(wire.cached_tokens);
    let read = tokens(cached).min(prompt);
    let written = tokens(details.cache_write_tokens.or(wire.cache_creation_input_tokens));
    let written = written.min(prompt.saturating_sub(read));
    let fresh = prompt.saturating_sub(read).saturating_sub(written);
    // Which form the cached tokens have is not said: what a cache holds is text before anything else.
    let audio = tokens(details.audio_tokens).min(fresh);
    let image = tokens(details.image_tokens).min(fresh.saturating_sub(audio));
    by_form(&UsageKind::Input, fresh, audio, image, items);
    some(UsageKind::CacheRead, read, items);
    some(UsageKind::CacheWrite, written, items);
}

/// The answer: its sum includes reasoning, but not with every server; the total tells.
fn output(wire: &Wire<'_>, items: &mut Vec<UsageItem>) {
    let details: Details<'_> = object(wire.completion_tokens_details).unwrap_or_default();
    let (prompt, completion) = (tokens(wire.prompt_tokens), tokens(wire.completion_tokens));
    let reasoning = tokens(details.reasoning_tokens.or(wire.reasoning_tokens));
    let total = tokens(wire.total_tokens);
    let output = if wire.completion_tokens.is_none() {
        total.saturating_sub(prompt)
    } else if total == prompt + completion + reasoning {
        completion + reasoning
    } else {
        completion
    };
    let reasoning = reasoning.min(output);
    let rejected = tokens(details.rejected_prediction_tokens).min(output.saturating_sub(reasoning));
    let said = output.saturating_sub(reasoning).saturating_sub(rejected);
    let audio = tokens(details.audio_tokens).min(said);
    let image = tokens(details.image_tokens).min(said.saturating_sub(audio));
    by_form(&UsageKind::Output, said, audio, image, items);
    some(UsageKind::Reasoning, reasoning, items);
    some(UsageKind::RejectedPrediction, rejected, items);
}

/// Adds an item, unless there is nothing of it.
fn some(kind: UsageKind, tokens: Tokens, items: &mut Vec<UsageItem>) {
    if tokens > Tokens::ZERO {
        items.push(UsageItem::tokens(kind, tokens));
    }
}

/// Splits `all` by form; what is neither sound nor image is text, which is said only where there is something else.
fn by_form(kind: &UsageKind, all: Tokens, audio: Tokens, image: Tokens, items: &mut Vec<UsageItem>) {
    let text = all.saturating_sub(audio).saturating_sub(image);
    let rest = if text == all { Modality::Unspecified } else { Modality::Text };
    for (modality, tokens) in [(rest, text), (Modality::Audio, audio), (Modality::Image, image)] {
        if tokens > Tokens::ZERO {
            items.push(UsageItem { modality, ..UsageItem::tokens(kind.clone(), tokens) });
        }
    }
}

/// What the provider says the call cost: dollars, an object with dollars, or ticks.
fn cost(wire: &Wire<'_>) -> Option<PicoUsd> {
    if let Some(ticks) = count(wire.cost_in_usd_ticks) {
        return ticks.checked_mul(PICO_PER_TICK).filter(|pico| *pico >= 0).map(PicoUsd::new);
    }
    let cost = wire.cost?;
    let total = object::<TotalCost<'_>>(Some(cost)).and_then(|cost| cost.total_cost);
    PicoUsd::parse_usd(total.unwrap_or(cost).get())
}
