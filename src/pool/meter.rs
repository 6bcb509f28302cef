//! What one attempt used and what that cost, however it ends.
//!
//! What a provider tells is taken as it is. What it has not told when an attempt ends is estimated and marked as such:
//!
//! | how the attempt ended | the prompt | the answer |
//! |---|---|---|
//! | complete | as told, else estimated | as told, else estimated from what was said |
//! | cut, failed, given up in mid-answer | as told, else estimated | what was told, and an estimate of what was said since |
//! | given up, lost or silent before the answer began | estimated | nothing |
//! | refused by an HTTP status or by an error in place of the answer | nothing | nothing |
//! | no connection was made | nothing | nothing |
//!
//! A request that left and was never answered counts: providers bill what they have accepted, whether or not somebody
//! still waits for it, and a connection that is lost in a long silence is most often one whose answer was made. A
//! provider that refuses says by that that it did no work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::Endpoint;
use super::spend::Bound;
use crate::domain::{
    Block, BlockKind, Cost, Decoded, Delta, Event, Finish, FinishReason, Identity, Modality, ModelId, PicoUsd, Reason,
    Request, Terms, Tokens, Usage, UsageItem, UsageKind, UsageSource, Vendor,
};
use crate::price::Tariff;
use crate::tokens::Learned;
use crate::transport::Departure;

/// The most models whose lack of a price is told. Callers may ask for any name at a provider.
const MOST_UNPRICED: usize = 1024;

/// Measures one attempt.
#[derive(Debug)]
pub struct Meter {
    identity: Identity,
    /// What simulated work costs nobody misses.
    simulated: bool,
    tariff: Option<Arc<Tariff>>,
    learned: Arc<Learned>,
    prompt: Prompt,
    departure: Departure,
    standing: Standing,
    said: Said,
    /// What was told until now of the answer, and how much of it had been said by then.
    told: (Tokens, Said),
    /// Some of the answer was reasoning.
    reasoned: bool,
    /// What the attempt may cost; none: whatever it does.
    bound: Option<Bound>,
}

/// What is known about a prompt before anybody has counted it.
#[derive(Clone, Copy, Debug)]
struct Prompt {
    bytes: usize,
    /// Its bytes are all that a model reads of it, so that its tokens tell something about them.
    is_plain: bool,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// No head has come.
    Silent,
    /// The head was a refusal.
    Refused,
    /// The head of an answer came.
    Headed,
    /// The provider is at work.
    Working,
}

/// How much of an answer came, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    text: usize,
    reasoning: usize,
}

impl Said {
    pub(super) const fn bytes(self) -> usize {
        self.text.saturating_add(self.reasoning)
    }

    const fn since(self, earlier: Self) -> Self {
        Self {
            text: self.text.saturating_sub(earlier.text),
            reasoning: self.reasoning.saturating_sub(earlier.reasoning),
        }
    }
}

impl Meter {
    /// Measures an attempt at `endpoint` that sends `request`, of which `departure` says whether it has left. The answer
    /// may cost so much as `spend`.
    pub fn new(endpoint: &Endpoint, request: &Request, departure: Departure, spend: Option<PicoUsd>) -> Self {
        Self {
            identity: endpoint.identity.clone(),
            simulated: endpoint.provider.simulated,
            tariff: endpoint.tariff.clone(),
            learned: Arc::clone(&endpoint.learned),
            prompt: Prompt { bytes: request.prompt_bytes(), is_plain: request.is_plain() },
            departure,
            standing: Standing::Silent,
            said: Said::default(),
            told: (Tokens::ZERO, Said::default()),
            reasoned: false,
            // What cannot be priced cannot be held to a bound either: whoever sets one asks for a price before.
            bound: spend.filter(|_| endpoint.tariff.is_some()).map(Bound::new),
        }
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A head came: of an answer, or of a refusal.
    pub(super) fn head(&mut self, is_answer: impl FnOnce() -> bool) {
        self.standing = if is_answer() { Standing::Headed } else { Standing::Refused };
    }

    /// The provider is at work.
    pub(super) fn accepted(&mut self) {
        self.standing = Standing::Working;
    }

    /// Takes note of what came of the answer. This is done for every event, so it does no more than add up lengths.
    pub(super) fn observe(&mut self, event: &Decoded) {
        match event {
            Event::BlockDelta { delta: Delta::Text(more) | Delta::ToolInput(more), .. } => self.said.text += more.len(),
            Event::BlockDelta { delta: Delta::Reasoning(more), .. } => self.said.reasoning += more.len(),
            Event::BlockDelta { delta: Delta::Citation(_) | Delta::Audio(_), .. } => {}
            Event::BlockStarted { block, .. } => self.begun(block),
            // Numbers that say nothing of the answer do not cover what was said of it.
            Event::Usage(usage) if usage.output() > Tokens::ZERO => self.told = (usage.output(), self.said),
            _ => {}
        }
        if let Some(bound) = &mut self.bound {
            bound.observe(event);
        }
    }

    fn begun(&mut self, block: &Block) {
        match &block.kind {
            BlockKind::Reasoning(reasoning) => {
                self.reasoned = true;
                self.said.reasoning += reasoning.text.len();
            }
            BlockKind::ToolCall(call) => self.said.text += call.name.len() + call.input.as_str().len(),
            _ => self.said.text += block.text_bytes(),
        }
    }

    /// What an answer used that did not come to its end, when the provider has told `told` of it.
    pub(super) fn cut(&self, told: Usage) -> Usage {
        let is_untouched = match self.standing {
            Standing::Silent => !self.departure.happened(),
            Standing::Refused => true,
            Standing::Headed | Standing::Working => false,
        };
        if is_untouched && told.is_unknown() {
            return Usage::default();
        }
        self.completed(told)
    }

    /// What a failed attempt used, when the provider has told `told` of it.
    pub(super) fn failed(&self, reason: Reason, told: Usage) -> Usage {
        // What is no answer but an error in the place of one, or a page of somebody in between, is a refusal under
        // another name. An answer that never began may have been at work, as one that broke off.
        let is_lost = matches!(reason, Reason::StreamInterrupted | Reason::ProviderTimeout);
        if self.standing == Standing::Headed && told.is_unknown() && !is_lost {
            return Usage::default();
        }
        self.cut(told)
    }

    /// Adds to what was told what was not.
    fn completed(&self, told: Usage) -> Usage {
        let source = if told.is_unknown() { UsageSource::Estimated } else { UsageSource::Partial };
        let mut estimates = Vec::new();
        if told.input() == Tokens::ZERO {
            estimates.push((UsageKind::Input, self.learned.of_prompt(self.prompt.bytes)));
        }
        let (text, reasoning) = self.untold(&told);
        estimates.extend([(UsageKind::Output, text), (UsageKind::Reasoning, reasoning)]);
        let estimates = estimates.into_iter().filter(|(_, tokens)| *tokens > Tokens::ZERO);
        let mut items = told.items;
        items.extend(estimates.map(|(kind, tokens)| UsageItem::tokens(kind, tokens).estimated()));
        Usage { source, items }
    }

    /// How much of the answer `told` does not include: text, and reasoning.
    fn untold(&self, told: &Usage) -> (Tokens, Tokens) {
        let (known, at) = self.told;
        // Numbers that came with no event are newer than all that was said.
        if told.output() != known {
            return (Tokens::ZERO, Tokens::ZERO);
        }
        let since = self.said.since(at);
        let (text, reasoning) = (self.learned.of_answer(since.text), self.learned.of_answer(since.reasoning));
        // What is told before anything was said is the beginning of what is said then.
        let ahead = if at == Said::default() { known } else { Tokens::ZERO };
        let of_text = text.saturating_sub(ahead);
        (of_text, reasoning.saturating_sub(ahead.saturating_sub(text)))
    }

    /// Takes the usage of an answer that is complete, and learns from it; what was not told is added to it.
    pub(super) fn finish(&self, finish: &mut Finish) {
        match finish.usage.source {
            UsageSource::Provider => self.learn(&finish.usage),
            UsageSource::Partial | UsageSource::Estimated | UsageSource::None => {
                finish.usage = self.completed(std::mem::take(&mut finish.usage));
            }
        }
    }

    /// Learns from the provider's final numbers, where nothing is in them that was not seen here.
    fn learn(&self, usage: &Usage) {
        let is_foreign =
            |item: &UsageItem| item.model.is_some() || matches!(item.kind, UsageKind::ServerToolCall { .. });
        if usage.items.iter().any(is_foreign) {
            return;
        }
        if self.prompt.is_plain {
            self.learned.prompt(self.prompt.bytes, usage.input());
        }
        let is_text = |item: &&UsageItem| {
            item.kind == UsageKind::Output && matches!(item.modality, Modality::Unspecified | Modality::Text)
        };
        let text = usage.items.iter().filter(is_text).map(|item| Tokens::new(item.quantity)).sum();
        // Where reasoning is not told apart it is among the tokens, but its text is a summary or nothing at all.
        if !self.reasoned || usage.reasoning() > Tokens::ZERO {
            self.learned.answer(self.said.text, text);
        }
        self.learned.length(usage.output());
    }

    /// What `usage` cost, as the provider says by itself, or by the tariff. None: nothing was used, or its price is not
    /// known, which is told once for each model.
    pub(super) fn cost(&self, usage: &Usage, terms: &Terms, reported: Option<PicoUsd>) -> Option<Cost> {
        if let Some(amount) = reported {
            return Some(Cost::reported(amount));
        }
        if usage.is_unknown() {
            return None;
        }
        let cost = self.tariff.as_ref().and_then(|tariff| tariff.cost(usage, terms, SystemTime::now()));
        if cost.is_none() && !self.simulated && is_news(&self.identity) {
            // As texts, so that they are quoted: a name of a model is its caller's word.
            let (vendor, model) = (self.identity.vendor.as_str(), self.identity.model.as_str());
            tracing::warn!(
                vendor,
                model,
                "the price of this model is not known: what it costs is not counted; `models[].price` or `price_table` sets it"
            );
        }
        cost
    }

    /// Whether it is time to look at the bound.
    pub(super) fn is_due(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.is_due(self.said))
    }

    /// How the answer ends that has reached its bound, when the provider has told `told` until now: the ends of the
    /// blocks that are open, and its own. None: it has not.
    pub(super) fn end_at_bound(&mut self, told: Usage, terms: &Terms) -> Option<Vec<Decoded>> {
        let used = self.cut(told.clone());
        let tariff = Arc::clone(self.tariff.as_ref()?);
        // Terms that the price says nothing about do not lift the bound: the dearest known price stands in.
        let price = |usage: &Usage| match tariff.cost(usage, terms, SystemTime::now()) {
            Some(cost) => Some(cost.amount),
            None => tariff.at_most(usage.input(), usage.output()),
        };
        let bound = self.bound.as_mut()?;
        if !bound.is_reached(&used, self.said, &self.learned, price) {
            return None;
        }
        let mut finish = Finish::new(FinishReason::CostLimit, "");
        finish.usage = told;
        finish.service_tier.clone_from(&terms.service_tier);
        Some(bound.ends(finish))
    }
}

/// Whether it is the first time that this model's price is missed.
fn is_news(identity: &Identity) -> bool {
    static UNPRICED: Mutex<BTreeMap<Vendor, BTreeSet<ModelId>>> = Mutex::new(BTreeMap::new());
    let mut unpriced = UNPRICED.lock().unwrap_or_else(PoisonError::into_inner);
    let known: usize = unpriced.values().map(BTreeSet::len).sum();
    known < MOST_UNPRICED && unpriced.entry(identity.vendor.clone()).or_default().insert(identity.model.clone())
}

#[cfg(test)]
pub(super) mod tests;
