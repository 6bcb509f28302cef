//! What an error of this protocol means: by its status, its type and its code, and by its words only where the protocol
//! has no other sign.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits;
use crate::domain::{Details, Error, Finish, FinishReason, Identity, ProviderError, Reason, Recovery};
use crate::protocol::{HttpRefusal, Verdict, hints};

/// What an HTTP answer that is not 2xx means.
pub(super) fn verdict(identity: &Identity, refusal: &HttpRefusal<'_>) -> Verdict {
    let said = Said::parse(refusal.body);
    let status = refusal.status.as_u16();
    match said.meaning(status) {
        Meaning::Filtered => Verdict::Answer(Box::new(filtered(&said))),
        Meaning::Failure(reason) => {
            let error = said.into_error(identity, reason, status);
            let delay = hints::delay(refusal, &error, limits::allowance);
            Verdict::Failure(error.with(|details| {
                let header = refusal.headers.get("request-id").and_then(|id| id.to_str().ok());
                details.upstream_request_id = header.map(str::to_owned).or(details.upstream_request_id.take());
                details.upstream_status = Some(status);
                // An account that is empty, or a request that is wrong, is not cured by waiting.
                if reason.recovery() == Recovery::Again {
                    details.retry_after = delay;
                    details.futile = hints::is_futile(refusal.headers);
                }
            }))
        }
    }
}

/// What an error inside an answer that began as a success means.
pub(super) fn inside(identity: &Identity, body: &[u8]) -> Result<Box<Finish>, Error> {
    let said = Said::parse(body);
    match said.meaning(status_of(&said.kind).unwrap_or(500)) {
        Meaning::Filtered => Ok(Box::new(filtered(&said))),
        // The status of such an answer is 200, and nothing else was said about it.
        Meaning::Failure(reason) => Err(said.into_error(identity, reason, 200)),
    }
}

fn filtered(said: &Said) -> Finish {
    Finish::new(FinishReason::ContentFilter, said.kind.clone())
}

enum Meaning {
    Filtered,
    Failure(Reason),
}

/// An error as the provider says it; what it leaves out is empty.
#[derive(Debug, Default)]
struct Said {
    kind: String,
    code: String,
    message: String,
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    details: Option<Coded>,
}

#[derive(Deserialize)]
struct Coded {
    #[serde(default)]
    error_code: Option<String>,
}

impl Said {
    /// Reads what can be read; a body that is no error of this protocol says nothing.
    fn parse(body: &[u8]) -> Self {
        let Ok(Body { error, request_id }) = serde_json::from_slice(body) else { return Self::default() };
        let json = error.map_or("{}", RawValue::get);
        if let Ok(named) = serde_json::from_str::<Named>(json) {
            let code = named.details.and_then(|details| details.error_code).unwrap_or_default();
            let (kind, message) = (named.kind.unwrap_or_default(), named.message.unwrap_or_default());
            return Self { kind, code, message, request_id };
        }
        let message = serde_json::from_str(json).unwrap_or_default();
        Self { message, request_id, ..Self::default() }
    }

    fn meaning(&self, status: u16) -> Meaning {
        // 400 is what many servers answer when the type is what tells.
        let status = if status == 400 { status_of(&self.kind).unwrap_or(status) } else { status };
        if self.says(&["content filtering policy"]) {
            return Meaning::Filtered;
        }
        Meaning::Failure(match (status, self.code.as_str()) {
            (_, code) if code.ends_with("spend_limit_reached") => Reason::ProviderQuotaExhausted,
            (400, _) => self.bad_request(),
            (401 | 403, _) => Reason::ProviderCredentialsRefused,
            (402, _) => Reason::ProviderQuotaExhausted,
            // A file or a thread of the request is gone, not the model.
            (404, "file_expired" | "thread_not_found") => Reason::ProviderRejected,
            (404, _) => Reason::ProviderModelNotFound,
            (408 | 409 | 424 | 498 | 500.., _) => Reason::ProviderUnavailable,
            (413, _) => Reason::RequestTooLarge,
            (429, _) => Reason::ProviderRateLimited,
            (412 | 422 | 431 | 499, _) | (405..=499, _) => Reason::ProviderRejected,
            _ => Reason::ProviderProtocolError,
        })
    }

    /// A status of 400 with the type for whatever has no type of its own.
    fn bad_request(&self) -> Reason {
        match self.code.as_str() {
            "organization_on_hold" | "cmek_key_disabled" | "cmek_key_network_blocked" => {
                Reason::ProviderCredentialsRefused
            }
            "request_body_timeout" => Reason::ProviderUnavailable,
            "" if self.says(&["prompt is too long", "context limit", "context window", "maximum context length"]) => {
                Reason::ContextLengthExceeded
            }
            "" if self.says(&["usage limits", "credit balance"]) => Reason::ProviderQuotaExhausted,
            _ => Reason::ProviderRejected,
        }
    }

    /// Whether the words contain one of these, which are lower case.
    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    fn into_error(self, identity: &Identity, reason: Reason, http_status: u16) -> Error {
        let Self { kind, code, message, request_id } = self;
        let said = !(kind.is_empty() && message.is_empty());
        let error = ProviderError { http_status, kind, code, param: String::new(), message };
        Error::new(reason, words(reason)).with(|details: &mut Details| {
            details.provider = Some(identity.provider.clone());
            details.model = Some(identity.model.clone());
            details.upstream_request_id = request_id;
            details.provider_error = said.then_some(error);
        })
    }
}

/// The status that belongs to a type of error; none: the type is not known.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

const fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::ProviderQuotaExhausted => "the provider account is out of credit or at its spend limit",
        Reason::ProviderCredentialsRefused => "the provider refuses this server's key",
        Reason::ProviderModelNotFound => "the provider does not know the model",
        Reason::ProviderUnavailable => "the provider is down or overloaded",
        Reason::ProviderRateLimited => "the provider limits the rate of requests",
        Reason::RequestTooLarge => "the request is larger than the provider takes",
        Reason::ContextLengthExceeded => "the request has more tokens than the model's context",
        Reason::ProviderRejected => "the provider refuses the request as malformed",
        _ => "the provider answered with a status that makes no sense here",
    }
}
