//! What a refusal means: an HTTP answer that is not 2xx, or an error in the place of an answer.
//!
//! Speakers of the protocol agree on little here, so status, type, code and, last, words are looked at in turn. What
//! they say goes to the caller alone; the messages of our errors are our own.

mod words;

use super::limits;
use crate::domain::{Error, Finish, FinishReason, Identity, ProviderError, Reason, RefusalDetail};
use crate::protocol::{HttpRefusal, Verdict, hints};
use words::{Words, says};

/// The most of a provider's words that is kept, in bytes; the edge masks and cuts them further.
const MOST_WORDS: usize = 2048;

/// Reads an HTTP answer that is not 2xx.
pub(super) fn verdict(identity: &Identity, refusal: &HttpRefusal<'_>) -> Verdict {
    let words = Words::read(refusal.body);
    let status = refusal.status.as_u16();
    let request_id = ["x-request-id", "apim-request-id", "x-generation-id"]
        .into_iter()
        .find_map(|name| refusal.headers.get(name)?.to_str().ok())
        .map(str::to_owned);
    if let Some(mut finish) = filtered(&words, status) {
        finish.metadata.extend(request_id.map(|id| ("upstream_request_id".to_owned(), id)));
        return Verdict::Answer(Box::new(finish));
    }
    let error = failure(identity, status, &words);
    let delay = hints::delay(refusal, &error, limits::allowance);
    Verdict::Failure(error.with(|details| {
        details.upstream_status = Some(status);
        details.upstream_request_id = request_id;
        details.retry_after = delay;
        details.futile |= hints::is_futile(refusal.headers);
    }))
}

/// Reads an error that came with status 200, in the place of an answer or of a chunk.
pub(super) fn in_body(identity: &Identity, body: &[u8]) -> Verdict {
    let words = Words::read(body);
    // The status that the server would have answered with, where its error says it.
    let status = words.code.parse::<u16>().ok().filter(|code| (400..600).contains(code)).unwrap_or(200);
    match filtered(&words, status) {
        Some(finish) => Verdict::Answer(Box::new(finish)),
        None => Verdict::Failure(failure(identity, status, &words)),
    }
}

/// The answer of a filter, in whatever form it comes.
fn filtered(words: &Words, status: u16) -> Option<Finish> {
    let named = [words.code.as_str(), words.kind.as_str(), words.inner_code.as_str()]
        .into_iter()
        .any(|word| matches!(word, "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation"));
    let told = says(
        &words.message,
        &["content violates usage guidelines", "flagged as potentially violating", "unsafe or sensitive content"],
    );
    if status >= 500 || !(named || told || words.flagged) {
        return None;
    }
    let mut finish = Finish::new(FinishReason::ContentFilter, "content_filter");
    let category = words.filters.as_ref().map(|filters| filters.category.clone()).unwrap_or_default();
    finish.refusal = Some(RefusalDetail { category, explanation: words.message.clone() });
    Some(finish)
}

fn failure(identity: &Identity, status: u16, words: &Words) -> Error {
    let (reason, message, futile) = classify(status, words);
    Error::new(reason, message).with(|details| {
        details.futile = futile;
        details.provider = Some(identity.provider.clone());
        details.model = Some(identity.model.clone());
        details.provider_error = Some(ProviderError {
            http_status: status,
            kind: words.kind.clone(),
            code: words.code.clone(),
            param: words.param.clone(),
            message: words.message.chars().take(MOST_WORDS).collect(),
        });
    })
}

/// The reason, what we say about it, and whether trying again at the same endpoint is futile.
fn classify(status: u16, words: &Words) -> (Reason, &'static str, bool) {
    if is_quota(status, words) {
        return (Reason::ProviderQuotaExhausted, "the provider account is out of credit or above its limit", false);
    }
    if status < 500 && is_too_long(words) {
        return (Reason::ContextLengthExceeded, "the request has more tokens than the model's context", false);
    }
    if let Some(limited) = limited(status, words) {
        return limited;
    }
    if status == 401 || status == 403 || is_bad_key(words) {
        return (Reason::ProviderCredentialsRefused, "the provider refused the key of this server", false);
    }
    if status == 404 || is_unknown_model(words) {
        return (Reason::ProviderModelNotFound, "the provider does not know the model", false);
    }
    if is_luck(words) || matches!(status, 408 | 409 | 424 | 498 | 500..) || status == 200 && !words.is_rejection() {
        return (Reason::ProviderUnavailable, "the provider is down or overloaded", false);
    }
    match status {
        413 => (Reason::RequestTooLarge, "the request is larger than the provider takes", false),
        200 | 400..500 => (Reason::ProviderRejected, "the provider refused the request as malformed", false),
        _ => (Reason::ProviderProtocolError, "the provider answered with a status that means nothing here", false),
    }
}

/// Too much at a time. A request that is larger than the whole limit never fits, however long one waits.
fn limited(status: u16, words: &Words) -> Option<(Reason, &'static str, bool)> {
    let by_word = ["rate_limit_exceeded", "rate_limit_error", "rate_limited", "slow_down"]
        .into_iter()
        .any(|word| words.code == word || words.kind == word);
    // With a status of the 5xx the server itself says that it is not the caller's rate.
    if status != 429 && !(by_word && status < 500) {
        return None;
    }
    if status == 413 || says(&words.message, &["request too large"]) {
        return Some((Reason::ProviderRateLimited, "the request is larger than the provider's rate limit", true));
    }
    Some((Reason::ProviderRateLimited, "the provider is rate limited", false))
}

fn is_quota(status: u16, words: &Words) -> bool {
    let named = [words.kind.as_str(), words.code.as_str()].into_iter().any(|word| {
        matches!(
            word,
            "insufficient_quota"
                | "credit_balance_exhausted"
                | "organization_spend_limit_exceeded"
                | "project_spend_limit_exceeded"
                | "organization_usage_limit_exceeded"
                | "billing_hard_limit_reached"
                | "exceeded_current_quota_error"
        )
    });
    let told = says(&words.message, &["insufficient credits", "insufficient balance", "used all available credits"]);
    named || status == 402 || (told && status < 500)
}

/// Codes, and the phrases of servers that have none.
fn is_too_long(words: &Words) -> bool {
    words.code == "context_length_exceeded"
        || words.kind == "exceed_context_size_error"
        || says(
            &words.message,
            &[
                "maximum context length is",
                "exceeds the available context size",
                "is longer than the model's context length",
                "exceed context limit",
                "input is too long",
                "exceeds the maximum number of tokens allowed",
                "prompt is too long",
                "tokens + `max_new_tokens` must be",
                "input + max_tokens",
            ],
        )
        || (says(&words.message, &["current length is"]) && says(&words.message, &["while limit is"]))
}

/// A bad key that is not told by its status.
fn is_bad_key(words: &Words) -> bool {
    words.code == "invalid_api_key"
        || says(&words.message, &["incorrect api key", "invalid api key", "api key not valid"])
}

/// An unknown model that is not told by its status.
fn is_unknown_model(words: &Words) -> bool {
    words.code == "model_not_found" || words.kind == "invalid_model" || says(&words.message, &["model not exist"])
}

/// The model's own mistakes, which the server calls the caller's: another try may do.
fn is_luck(words: &Words) -> bool {
    matches!(words.code.as_str(), "tool_use_failed" | "json_validate_failed")
}
