//! How a completion ended, and the ledger of what was tried for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    CallId, Cost, Identity, ModelId, Origin, PicoUsd, ProviderId, ProviderState, Reason, Saved, Tokens, Usage,
};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// A stop sequence was met.
    StopSequence,
    /// The bound on the answer was reached.
    MaxTokens,
    /// The model's context window was reached.
    ContextWindow,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// A filter of the provider.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider paused a long turn.
    Pause,
    /// The bound on the cost of the call was reached.
    CostLimit,
    /// A reason that is not known here.
    Other,
}

/// What a provider says about a refusal; empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalDetail {
    /// Its category.
    pub category: String,
    /// Its explanation.
    pub explanation: String,
}

/// How an upstream's answer ended: what a decoder can tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// The provider's own word for it; empty: none.
    pub raw_reason: String,
    /// The stop sequence that was met; empty: none named.
    pub stop_sequence: String,
    /// What the provider says about a refusal.
    pub refusal: Option<RefusalDetail>,
    /// What it used.
    pub usage: Usage,
    /// The model that answered, where the provider names it.
    pub model: Option<ModelId>,
    /// The service tier as served; empty: not reported.
    pub service_tier: String,
    /// Opaque state of the whole message.
    pub message_state: Option<ProviderState>,
    /// What else the provider reported, as text or JSON.
    pub metadata: BTreeMap<String, String>,
    /// What the provider itself says it cost.
    pub cost: Option<PicoUsd>,
}

impl Finish {
    /// An end for `reason`, which the provider calls `raw_reason`, and nothing else known.
    pub fn new(reason: FinishReason, raw_reason: impl Into<String>) -> Self {
        Self {
            reason,
            raw_reason: raw_reason.into(),
            stop_sequence: String::new(),
            refusal: None,
            usage: Usage::default(),
            model: None,
            service_tier: String::new(),
            message_state: None,
            metadata: BTreeMap::new(),
            cost: None,
        }
    }
}

/// How a call ended: what a caller is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The call.
    pub id: CallId,
    /// The model that answered.
    pub model: ModelId,
    /// The provider that answered.
    pub provider: ProviderId,
    /// How the answer ended.
    pub finish: Finish,
    /// What the call cost over all its attempts; none: no price is known.
    pub cost: Option<Cost>,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Fields of the request that were left out, as paths.
    pub ignored_parameters: Vec<String>,
    /// The bound on the answer that was sent.
    pub max_tokens: Tokens,
    /// How long the provider was asked to keep the prompt, the longest of several; none: it was not asked.
    pub prompt_cache_ttl: Option<Duration>,
    /// Whether the simulator made it up.
    pub simulated: bool,
    /// Where the answer comes from.
    pub origin: Origin,
    /// What one that was there already has spared.
    pub saved: Option<Saved>,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who was asked.
    pub endpoint: Identity,
    /// How it went.
    pub outcome: AttemptOutcome,
    /// From sending to the end; none: nothing was sent.
    pub duration: Option<Duration>,
    /// From sending to the first event; none: none came.
    pub time_to_first_event: Option<Duration>,
    /// What it used; none: nothing is known.
    pub usage: Option<Usage>,
    /// What it cost; none: no price is known.
    pub cost: Option<Cost>,
}

impl Attempt {
    /// What all attempts of a call cost; none: nothing was used, or something was whose price is not known.
    pub fn cost_of_all(attempts: &[Self]) -> Option<Cost> {
        let charged = attempts.iter().filter(|attempt| attempt.usage.is_some() || attempt.cost.is_some());
        let costs: Option<Vec<Cost>> = charged.map(|attempt| attempt.cost.clone()).collect();
        Cost::sum(costs?)
    }

    /// What all attempts of a call used; none: nothing is known. Items of another model than that of the last attempt
    /// name it.
    pub fn usage_of_all(attempts: &[Self]) -> Option<Usage> {
        let used = || attempts.iter().filter_map(|attempt| Some((&attempt.endpoint.model, attempt.usage.clone()?)));
        let (last, _) = used().next_back()?;
        let named = used().map(|(model, mut usage)| {
            for item in usage.items.iter_mut().filter(|_| model != last) {
                item.model.get_or_insert_with(|| model.clone());
            }
            usage
        });
        named.reduce(Usage::plus)
    }
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// It answered.
    Finished,
    /// It failed.
    Failed(Reason),
    /// It was given up while it ran.
    Dropped,
    /// It was not tried.
    Skipped(Reason),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CostSource, UsageItem, UsageKind, UsageSource, Vendor};

    fn attempt(model: &str, tokens: Option<u32>, pico: Option<i64>) -> Attempt {
        let items = |tokens| [UsageItem::tokens(UsageKind::Input, Tokens::new(tokens))];
        Attempt {
            endpoint: Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new(model)),
            outcome: AttemptOutcome::Dropped,
            duration: None,
            time_to_first_event: None,
            usage: tokens.map(|tokens| Usage::reported(items(tokens))),
            cost: pico.map(|pico| Cost { amount: PicoUsd::new(pico), source: CostSource::Config, estimated: false }),
        }
    }

    fn pico(attempts: &[Attempt]) -> Option<i64> {
        Attempt::cost_of_all(attempts).map(|cost| cost.amount.get())
    }

    #[test]
    fn a_call_costs_what_all_its_attempts_cost() {
        let nothing = attempt("a", None, None);
        assert_eq!(pico(std::slice::from_ref(&nothing)), None);
        let used = [attempt("a", Some(1), Some(3)), nothing, attempt("a", Some(2), Some(4))];
        assert_eq!(pico(&used), Some(7));
        let unpriced = [attempt("a", Some(1), Some(3)), attempt("b", Some(2), None)];
        assert_eq!(pico(&unpriced), None, "a part of a cost is not the cost");
    }

    #[test]
    fn what_a_call_used_names_the_models_that_did_not_answer() {
        assert_eq!(Attempt::usage_of_all(&[attempt("a", None, None)]), None);
        let attempts = [attempt("a", Some(1), None), attempt("b", Some(2), None), attempt("b", Some(4), None)];
        let usage = Attempt::usage_of_all(&attempts).unwrap();
        let items: Vec<_> = usage.items.iter().map(|item| (item.model.clone(), item.quantity)).collect();
        assert_eq!(items, [(Some(ModelId::new("a")), 1), (None, 6)]);
        assert_eq!(usage.source, UsageSource::Provider);
    }
}
