//! What can go wrong, by what a caller can do about it; and the one place that decides what may be tried again.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Attempt, Cost, ModelId, ProviderId, Usage};

/// Why a call failed. Each has one gRPC status and one word in `ErrorInfo`; both are part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A field is missing, out of range, or contradicts another; or the bytes are no message.
    InvalidRequest,
    /// Larger than a size limit, ours or the upstream's.
    RequestTooLarge,
    /// The upstream refuses the request as malformed.
    ProviderRejected,
    /// More tokens than the model's context.
    ContextLengthExceeded,
    /// No target can do what is asked.
    CapabilityNotSupported,
    /// The estimate is above the bound on the call's cost.
    CostLimitExceeded,
    /// A bound on the cost is set, and the price is not known.
    PriceUnknown,
    /// No such completion, or not one of this caller's, or not any more.
    CompletionNotFound,
    /// No such model or alias, or not one of this caller's.
    ModelNotFound,
    /// The upstream does not know the configured model.
    ProviderModelNotFound,
    /// The cache has no answer, and nothing else was wanted.
    CacheMiss,
    /// The answer would make that of its batch too large.
    ResultTooLarge,
    /// The same request id with another request.
    RequestIdReused,
    /// The caller shows no credentials, or none that are known.
    CredentialsInvalid,
    /// The keys of whoever has issued the caller's token cannot be read now.
    IssuerUnavailable,
    /// The caller may not do this.
    PermissionDenied,
    /// The caller has used as much as it may.
    CallerLimitExceeded,
    /// The upstream is rate limited.
    ProviderRateLimited,
    /// The provider account is out of credit.
    ProviderQuotaExhausted,
    /// The gateway's own provider key is refused.
    ProviderCredentialsRefused,
    /// The upstream is down or overloaded, or the connection or the answer broke before anything was sent on.
    ProviderUnavailable,
    /// The upstream is too slow.
    ProviderTimeout,
    /// The upstream's bytes cannot be understood.
    ProviderProtocolError,
    /// The answer broke, stalled or ended without its end mark after a part of it was sent on.
    StreamInterrupted,
    /// The caller's deadline or the total timeout passed.
    DeadlineExceeded,
    /// This server has too much in flight.
    Overloaded,
    /// This server stops.
    ShuttingDown,
    /// The client takes nothing.
    ClientStalled,
    /// The caller went away.
    Cancelled,
    /// No such method.
    MethodUnknown,
    /// The configuration that was to be put in force is not valid.
    ConfigurationInvalid,
    /// What keeps sums of usage cannot be read now.
    UsageUnavailable,
    /// What keeps answers for several processes cannot be reached now.
    CacheUnavailable,
    /// A defect of ours.
    Internal,
}

/// What may be tried after a failure, before anything of the answer was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The request or this server is at fault: nothing helps.
    Never,
    /// Another endpoint may answer; this one would fail again.
    Elsewhere,
    /// This endpoint may answer a little later; another one at once.
    Again,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 34] = [
        Self::InvalidRequest,
        Self::RequestTooLarge,
        Self::ProviderRejected,
        Self::ContextLengthExceeded,
        Self::CapabilityNotSupported,
        Self::CostLimitExceeded,
        Self::PriceUnknown,
        Self::CompletionNotFound,
        Self::ModelNotFound,
        Self::ProviderModelNotFound,
        Self::CacheMiss,
        Self::ResultTooLarge,
        Self::RequestIdReused,
        Self::CredentialsInvalid,
        Self::IssuerUnavailable,
        Self::PermissionDenied,
        Self::CallerLimitExceeded,
        Self::ProviderRateLimited,
        Self::ProviderQuotaExhausted,
        Self::ProviderCredentialsRefused,
        Self::ProviderUnavailable,
        Self::ProviderTimeout,
        Self::ProviderProtocolError,
        Self::StreamInterrupted,
        Self::DeadlineExceeded,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::ClientStalled,
        Self::Cancelled,
        Self::MethodUnknown,
        Self::ConfigurationInvalid,
        Self::UsageUnavailable,
        Self::CacheUnavailable,
        Self::Internal,
    ];

    /// The word of the public contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::ProviderRejected => "PROVIDER_REJECTED",
            Self::ContextLengthExceeded => "CONTEXT_LENGTH_EXCEEDED",
            Self::CapabilityNotSupported => "CAPABILITY_NOT_SUPPORTED",
            Self::CostLimitExceeded => "COST_LIMIT_EXCEEDED",
            Self::PriceUnknown => "PRICE_UNKNOWN",
            Self::CompletionNotFound => "COMPLETION_NOT_FOUND",
            Self::ModelNotFound => "MODEL_NOT_FOUND",
            Self::ProviderModelNotFound => "PROVIDER_MODEL_NOT_FOUND",
            Self::CacheMiss => "CACHE_MISS",
            Self::ResultTooLarge => "RESULT_TOO_LARGE",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::CredentialsInvalid => "CREDENTIALS_INVALID",
            Self::IssuerUnavailable => "ISSUER_UNAVAILABLE",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::CallerLimitExceeded => "CALLER_LIMIT_EXCEEDED",
            Self::ProviderRateLimited => "PROVIDER_RATE_LIMITED",
            Self::ProviderQuotaExhausted => "PROVIDER_QUOTA_EXHAUSTED",
            Self::ProviderCredentialsRefused => "PROVIDER_CREDENTIALS_REFUSED",
            Self::ProviderUnavailable => "PROVIDER_UNAVAILABLE",
            Self::ProviderTimeout => "PROVIDER_TIMEOUT",
            Self::ProviderProtocolError => "PROVIDER_PROTOCOL_ERROR",
            Self::StreamInterrupted => "STREAM_INTERRUPTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Overloaded => "OVERLOADED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::ClientStalled => "CLIENT_STALLED",
            Self::Cancelled => "CANCELLED",
            Self::MethodUnknown => "METHOD_UNKNOWN",
            Self::ConfigurationInvalid => "CONFIGURATION_INVALID",
            Self::UsageUnavailable => "USAGE_UNAVAILABLE",
            Self::CacheUnavailable => "CACHE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// What may be tried after it. The one place where this is decided; an [`Error`] can only narrow it.
    pub const fn recovery(self) -> Recovery {
        match self {
            // Bytes that make no sense are most often a passing fault of a proxy in between: a page of HTML, or an
            // answer that was torn.
            Self::ProviderRateLimited | Self::ProviderUnavailable | Self::ProviderProtocolError => Recovery::Again,
            // A silent endpoint is not asked twice for the same call; a refused key, an empty account and an unknown
            // model stay what they are.
            Self::ProviderTimeout
            | Self::ProviderModelNotFound
            | Self::ProviderQuotaExhausted
            | Self::ProviderCredentialsRefused => Recovery::Elsewhere,
            Self::InvalidRequest
            | Self::RequestTooLarge
            | Self::ProviderRejected
            | Self::ContextLengthExceeded
            | Self::CapabilityNotSupported
            | Self::CostLimitExceeded
            | Self::PriceUnknown
            | Self::CacheMiss
            | Self::ResultTooLarge
            | Self::RequestIdReused
            | Self::CredentialsInvalid
            | Self::IssuerUnavailable
            | Self::PermissionDenied
            | Self::CallerLimitExceeded
            | Self::CompletionNotFound
            | Self::ModelNotFound
            | Self::StreamInterrupted
            | Self::DeadlineExceeded
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::ClientStalled
            | Self::Cancelled
            | Self::MethodUnknown
            | Self::ConfigurationInvalid
            | Self::UsageUnavailable
            | Self::CacheUnavailable
            | Self::Internal => Recovery::Never,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed call, with all that its caller may be told.
///
/// `message` is developer's English by this server: never a provider's words, never a piece of a prompt, so it may be
/// logged. What a provider said is in [`Details::provider_error`] and goes to the caller alone.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Why.
    pub reason: Reason,
    /// What happened, and what to do about it.
    pub message: Cow<'static, str>,
    /// The rest.
    pub details: Box<Details>,
}

/// What is known about a failure beside its reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Which fields of the request are wrong.
    pub violations: Vec<Violation>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
    /// Which limit of the caller's is reached, and how far it goes.
    pub exhausted: Option<Exhausted>,
    /// True when the upstream itself said that trying again cannot help.
    pub futile: bool,
    /// True when the pool's retry budget is spent: the caller shall not try again by itself.
    pub budget_spent: bool,
    /// The provider that was asked.
    pub provider: Option<ProviderId>,
    /// The model that was asked for there.
    pub model: Option<ModelId>,
    /// The upstream's HTTP status.
    pub upstream_status: Option<u16>,
    /// The upstream's id of the request.
    pub upstream_request_id: Option<String>,
    /// The upstream's own words.
    pub provider_error: Option<ProviderError>,
    /// Names near to the one that was not found.
    pub nearest: Vec<String>,
    /// What was used up to the failure.
    pub usage: Option<Usage>,
    /// What that cost.
    pub cost: Option<Cost>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// A limit that a caller has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Which one, of whom (`caller:search requests_per_minute`).
    pub subject: String,
    /// How far it goes, and when there is more.
    pub rule: Cow<'static, str>,
}

/// A field of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path (`messages[2].content[1].text`).
    pub field: String,
    /// The rule that it breaks, as what would be right.
    pub rule: Cow<'static, str>,
}

/// An upstream's own words about a failure.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// The HTTP status.
    pub http_status: u16,
    /// Its type of error.
    pub kind: String,
    /// Its code.
    pub code: String,
    /// The parameter that it names.
    pub param: String,
    /// Its words: they may quote the request, so they are neither logged nor shown by `Debug`.
    pub message: String,
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError").field("http_status", &self.http_status).finish_non_exhaustive()
    }
}

impl Error {
    /// A failure of which only reason and message are known.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), details: Box::default() }
    }

    /// An upstream whose bytes cannot be understood: `what` says what was wrong, without quoting them.
    pub fn protocol(what: impl fmt::Display) -> Self {
        Self::new(Reason::ProviderProtocolError, format!("the provider's answer cannot be understood: {what}"))
    }

    /// An answer that ended without its protocol's end mark. Whether anything was sent on decides what it is called:
    /// see [`Error::before_commit`].
    pub fn cut_short() -> Self {
        Self::new(Reason::StreamInterrupted, "the provider's answer ended before it was complete")
    }

    /// One wrong field.
    pub fn invalid(field: impl Into<String>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid_fields(vec![Violation { field: field.into(), rule: rule.into() }])
    }

    /// Wrong fields, at least one.
    pub fn invalid_fields(violations: Vec<Violation>) -> Self {
        let message = violations.iter().map(|v| format!("{}: {}", v.field, v.rule)).collect::<Vec<_>>().join("; ");
        let mut error = Self::new(Reason::InvalidRequest, message);
        error.details.violations = violations;
        error
    }

    /// The same failure with more known about it.
    #[must_use]
    pub fn with(mut self, more: impl FnOnce(&mut Details)) -> Self {
        more(&mut self.details);
        self
    }

    /// What may be tried after it.
    pub fn recovery(&self) -> Recovery {
        match self.reason.recovery() {
            Recovery::Again if self.details.futile => Recovery::Elsewhere,
            recovery => recovery,
        }
    }

    /// What a broken answer is called while nothing of it was sent on: the upstream was not available.
    #[must_use]
    pub fn before_commit(mut self) -> Self {
        if self.reason == Reason::StreamInterrupted {
            self.reason = Reason::ProviderUnavailable;
        }
        self
    }

    /// What a failure is called when a part of the answer was sent on: silence is an interruption then, and so is a
    /// lost connection ([`Error::cut_short`]). An error that the provider itself names keeps its own reason.
    #[must_use]
    pub fn after_commit(mut self) -> Self {
        if self.reason == Reason::ProviderTimeout {
            self.reason = Reason::StreamInterrupted;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words_of_their_own() {
        let words: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn an_upstream_that_says_no_is_not_asked_again() {
        let error = Error::new(Reason::ProviderUnavailable, "down");
        assert_eq!(error.recovery(), Recovery::Again);
        assert_eq!(error.with(|d| d.futile = true).recovery(), Recovery::Elsewhere);
    }

    #[test]
    fn bytes_that_make_no_sense_may_be_a_passing_fault() {
        assert_eq!(Error::protocol("it is a web page").recovery(), Recovery::Again);
    }

    #[test]
    fn what_a_provider_said_is_not_in_debug_output() {
        let error = Error::new(Reason::ProviderRejected, "rejected").with(|d| {
            d.provider_error = Some(ProviderError { message: "the prompt".into(), ..ProviderError::default() })
        });
        assert!(!format!("{error:?} {error}").contains("the prompt"));
    }
}
