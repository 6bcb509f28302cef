//! The tokens of a request, in both directions.

use super::usage::cost;
use super::{RequestRules, request};
use crate::domain::{CountSource, Error, Request, TokenParts};
use crate::proto;
use crate::route::Counted;

/// What is asked: a request as for a completion.
///
/// # Errors
/// Every rule that it breaks.
pub(crate) fn to_count(asked: proto::CountTokensRequest, rules: &RequestRules) -> Result<Request, Error> {
    let asked = asked.request.ok_or_else(|| Error::invalid("request", "must be set: its tokens are counted"))?;
    request(asked, rules).map(|request| *request)
}

/// What was counted.
pub(crate) fn counted(counted: Counted) -> proto::CountTokensResponse {
    let Counted { identity, count, max_tokens, expected_output, expected_cost, max_cost } = counted;
    let source = match count.source {
        CountSource::Provider => proto::CountSource::Provider,
        CountSource::Tokenizer => proto::CountSource::Tokenizer,
        CountSource::Estimated => proto::CountSource::Estimated,
    };
    proto::CountTokensResponse {
        provider: identity.provider.to_string(),
        model: identity.model.to_string(),
        input_tokens: count.input.as_i32(),
        source: source.into(),
        parts: count.parts.map(parts),
        max_tokens: max_tokens.as_i32(),
        expected_output_tokens: expected_output.map(|tokens| tokens.as_i32()),
        expected_cost: expected_cost.map(cost),
        max_cost: max_cost.map(cost),
        tokenizer: count.tokenizer.unwrap_or_default().to_owned(),
    }
}

fn parts(parts: TokenParts) -> proto::TokenParts {
    let TokenParts { system, tools, messages, media, overhead } = parts;
    proto::TokenParts {
        system: system.as_i32(),
        tools: tools.as_i32(),
        messages: messages.as_i32(),
        media: media.as_i32(),
        overhead: overhead.as_i32(),
    }
}
