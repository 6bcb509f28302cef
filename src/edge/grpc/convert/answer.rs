//! A whole answer and how it ended, as they go out.

use super::block;
use super::ledger::attempt;
use super::reuse::{cache_status, saved};
use super::usage::{cost, duration, usage};
use crate::callers::LedgerView;
use crate::domain::{Answer, Finish, FinishReason, Outcome, ProviderState};
use crate::proto;

/// A whole answer.
pub fn response(answer: Answer, view: LedgerView) -> proto::CompleteResponse {
    let text = answer.text();
    let outcome = outcome(answer.end, view);
    // Events carry the state of the message in their end; folding them gives the same as here.
    let provider_state =
        answer.message.state.as_ref().map_or_else(|| outcome.message_state.clone(), ProviderState::to_bytes);
    let message = proto::Message {
        role: proto::Role::Assistant.into(),
        content: answer.message.content.into_iter().map(block::block).collect(),
        provider_state,
    };
    proto::CompleteResponse { outcome: Some(Box::new(outcome)), message: Some(message), text }
}

/// How a completion ended.
pub(super) fn outcome(outcome: Outcome, view: LedgerView) -> proto::CompletionOutcome {
    let Finish {
        reason,
        raw_reason,
        stop_sequence,
        refusal,
        usage: used,
        model: _,
        service_tier,
        message_state,
        metadata,
        cost: _,
    } = outcome.finish;
    proto::CompletionOutcome {
        id: outcome.id.to_string(),
        model: outcome.model.to_string(),
        provider: outcome.provider.to_string(),
        finish_reason: finish_reason(reason).into(),
        raw_finish_reason: raw_reason,
        stop_sequence,
        refusal: refusal
            .map(|detail| proto::RefusalDetail { category: detail.category, explanation: detail.explanation }),
        usage: Some(usage(used)),
        cost: outcome.cost.map(cost),
        attempts: outcome.attempts.into_iter().map(|line| attempt(line, view)).collect(),
        ignored_parameters: outcome.ignored_parameters,
        max_tokens: outcome.max_tokens.as_i32(),
        service_tier,
        message_state: message_state.map(|state| state.to_bytes()).unwrap_or_default(),
        provider_metadata: metadata,
        simulated: outcome.simulated,
        saved: outcome.saved.map(saved),
        cache_status: cache_status(outcome.origin).into(),
        prompt_cache_ttl: outcome.prompt_cache_ttl.map(duration),
    }
}

pub(super) fn finish_reason(reason: FinishReason) -> proto::FinishReason {
    match reason {
        FinishReason::Stop => proto::FinishReason::Stop,
        FinishReason::StopSequence => proto::FinishReason::StopSequence,
        FinishReason::MaxTokens => proto::FinishReason::MaxTokens,
        FinishReason::ContextWindow => proto::FinishReason::ContextWindow,
        FinishReason::ToolCalls => proto::FinishReason::ToolCalls,
        FinishReason::ContentFilter => proto::FinishReason::ContentFilter,
        FinishReason::Refusal => proto::FinishReason::Refusal,
        FinishReason::Pause => proto::FinishReason::Pause,
        FinishReason::CostLimit => proto::FinishReason::CostLimit,
        FinishReason::Other => proto::FinishReason::Other,
    }
}
