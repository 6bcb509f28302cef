//! Numbers and words of a request: in range, or a violation.

use std::time::Duration;

use super::content::ttl;
use super::violations::{Path, Violations};
use crate::domain::{
    Effort, PromptCache, PromptCacheMode, Reasoning, ReasoningAmount, Sampling, Tokens, UnsupportedParameters,
};
use crate::proto;
use crate::proto::complete_request::{Reasoning as ProtoReasoning, reasoning::Amount};

/// The least budget of tokens for reasoning that any provider takes.
const MIN_BUDGET: i32 = 1024;

/// How tokens are chosen.
pub(super) fn sampling(message: &proto::CompleteRequest, found: &mut Violations) -> Sampling {
    let root = Path::ROOT;
    let penalty = |value: f64| (-2.0..=2.0).contains(&value);
    let mut double = |value: Option<f64>, name, in_range: &dyn Fn(f64) -> bool, rule| {
        let value = value?;
        // No comparison holds for NaN, and no range has an infinite end: both are violations.
        found.check(in_range(value), &root.field(name), rule);
        Some(value)
    };
    Sampling {
        temperature: double(message.temperature, "temperature", &|t| (0.0..=2.0).contains(&t), "must be 0 to 2"),
        top_p: double(message.top_p, "top_p", &|p| p > 0.0 && p <= 1.0, "must be above 0 and at most 1"),
        frequency_penalty: double(message.frequency_penalty, "frequency_penalty", &penalty, "must be -2 to 2"),
        presence_penalty: double(message.presence_penalty, "presence_penalty", &penalty, "must be -2 to 2"),
        top_k: number(message.top_k, 1, i32::MAX, &root.field("top_k"), found),
        seed: message.seed,
        top_logprobs: number(message.top_logprobs, 0, 20, &root.field("top_logprobs"), found),
    }
}

/// The bound on the answer.
pub(super) fn max_tokens(value: Option<i32>, found: &mut Violations) -> Option<Tokens> {
    number(value, 1, i32::MAX, &Path::ROOT.field("max_tokens"), found).map(Tokens::new)
}

/// How the model reasons; none where the message says nothing.
pub(super) fn reasoning(
    message: Option<ProtoReasoning>,
    max_tokens: Option<i32>,
    found: &mut Violations,
) -> Option<Reasoning> {
    let message = message?;
    let root = Path::ROOT;
    let path = root.field("reasoning");
    let amount = match message.amount {
        None => None,
        Some(Amount::Effort(number)) => effort(number, &path.field("effort"), found).map(ReasoningAmount::Effort),
        Some(Amount::BudgetTokens(tokens)) => {
            let path = path.field("budget_tokens");
            // A bound that is wrong itself is told as that.
            let fits = max_tokens.is_none_or(|most| tokens < most || most < 1);
            found.check(fits, &path, "must be below max_tokens");
            number(Some(tokens), MIN_BUDGET, i32::MAX, &path, found).map(Tokens::new).map(ReasoningAmount::Budget)
        }
    };
    let reasoning = Reasoning { amount, display: message.display };
    (reasoning != Reasoning::default()).then_some(reasoning)
}

/// What happens to a parameter that a target cannot take.
pub(super) fn unsupported(number: i32, found: &mut Violations) -> UnsupportedParameters {
    use proto::UnsupportedParameters as Proto;
    match found.enum_value(number, &Path::ROOT.field("unsupported_parameters")) {
        None | Some(Proto::Unspecified | Proto::Reject) => UnsupportedParameters::Reject,
        Some(Proto::Ignore) => UnsupportedParameters::Ignore,
    }
}

/// What is wanted of the provider's cache of prompts.
pub(super) fn prompt_cache(message: Option<proto::PromptCache>, found: &mut Violations) -> PromptCache {
    use proto::PromptCacheMode as Proto;
    let Some(message) = message else { return PromptCache::default() };
    let root = Path::ROOT;
    let path = root.field("prompt_cache");
    let mode = match found.enum_value(message.mode, &path.field("mode")) {
        None | Some(Proto::Unspecified) => PromptCacheMode::Unsaid,
        Some(Proto::Off) => PromptCacheMode::Off,
        Some(Proto::Automatic) => PromptCacheMode::Automatic,
    };
    let of_ttl = path.field("ttl");
    let ttl = message.ttl.and_then(|message| ttl(message, &of_ttl, found));
    found.check(ttl != Some(Duration::ZERO), &of_ttl, "must be above 0; OFF marks nothing");
    found.check(ttl.is_none() || mode != PromptCacheMode::Off, &of_ttl, "must not be set with OFF");
    PromptCache { mode, ttl }
}

/// A whole number within bounds, both included.
fn number(value: Option<i32>, least: i32, most: i32, path: &Path<'_>, found: &mut Violations) -> Option<u32> {
    let value = value?;
    if !(least..=most).contains(&value) {
        let rule =
            if most == i32::MAX { format!("must be at least {least}") } else { format!("must be {least} to {most}") };
        found.report(path, rule);
    }
    u32::try_from(value).ok()
}

fn effort(number: i32, path: &Path<'_>, found: &mut Violations) -> Option<Effort> {
    use proto::Effort as Proto;
    Some(match found.enum_value(number, path)? {
        Proto::Unspecified => return None,
        Proto::None => Effort::None,
        Proto::Minimal => Effort::Minimal,
        Proto::Low => Effort::Low,
        Proto::Medium => Effort::Medium,
        Proto::High => Effort::High,
        Proto::Xhigh => Effort::XHigh,
        Proto::Max => Effort::Max,
    })
}
