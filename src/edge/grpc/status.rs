//! From a failure to what a caller gets: the one place that maps reasons to gRPC codes (AIP-193).

use std::collections::HashMap;
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::pb;

use super::convert::{LedgerView, attempt, cost, duration, usage};
use super::rich_status::{RichStatus, cut};
use crate::domain::{CallId, Details, Error, Exhausted, ProviderError, Reason, Violation};
use crate::proto;

/// The domain of every reason.
const DOMAIN: &str = "completiond";
/// The trailer that gRPC clients obey when they try again: milliseconds, -1 for never (gRFC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// How long to wait where nobody said it.
const DEFAULT_DELAY: Duration = Duration::from_secs(1);
/// The longest message of a status, in bytes: violations say the rest.
const MAX_MESSAGE_BYTES: usize = 512;
/// The longest value in the metadata of a reason, in bytes.
const MAX_VALUE_BYTES: usize = 128;
/// The longest words of a provider about a failure, in bytes.
const MAX_WORDS_BYTES: usize = 512;
/// The longest single word of a provider, such as its code, in bytes.
const MAX_WORD_BYTES: usize = 64;
/// The most names near to one that was not found.
const MAX_NEAREST: usize = 3;

/// The gRPC code of a reason.
pub(crate) const fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidRequest
        | Reason::RequestTooLarge
        | Reason::RequestIdReused
        | Reason::ProviderRejected
        | Reason::ContextLengthExceeded => Code::InvalidArgument,
        Reason::CapabilityNotSupported
        | Reason::CostLimitExceeded
        | Reason::PriceUnknown
        | Reason::ProviderModelNotFound
        | Reason::ProviderCredentialsRefused
        | Reason::CacheMiss
        | Reason::ConfigurationInvalid => Code::FailedPrecondition,
        Reason::ModelNotFound | Reason::CompletionNotFound => Code::NotFound,
        Reason::ProviderRateLimited
        | Reason::ProviderQuotaExhausted
        | Reason::ResultTooLarge
        | Reason::CallerLimitExceeded => Code::ResourceExhausted,
        Reason::CredentialsInvalid => Code::Unauthenticated,
        Reason::PermissionDenied => Code::PermissionDenied,
        Reason::ProviderUnavailable
        | Reason::StreamInterrupted
        | Reason::Overloaded
        | Reason::ShuttingDown
        | Reason::UsageUnavailable
        | Reason::CacheUnavailable
        | Reason::IssuerUnavailable => Code::Unavailable,
        Reason::ProviderTimeout | Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::ProviderProtocolError | Reason::Internal => Code::Internal,
        Reason::ClientStalled => Code::Aborted,
        Reason::Cancelled => Code::Cancelled,
        Reason::MethodUnknown => Code::Unimplemented,
    }
}

/// The name of a code, as OpenTelemetry's conventions write it.
pub const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The status of a failed call, with all its details in less than 4 KiB.
pub(crate) fn status(error: &Error, id: Option<CallId>, view: LedgerView) -> Status {
    let details = &error.details;
    let retry = retry(error);
    let mut rich = RichStatus::new(code(error.reason), &error.message, MAX_MESSAGE_BYTES);
    rich.add(&error_info(error.reason.as_str(), metadata(details)));
    if let Some(id) = id {
        rich.add(&request_info(id));
    }
    if let Retry::After(delay) | Retry::ByTheCaller(Some(delay)) = retry {
        rich.add(&pb::RetryInfo { retry_delay: Some(duration(delay)) });
    }
    if let Some(exhausted) = &details.exhausted {
        rich.add(&quota_failure(exhausted));
    }
    let failure = id.map(|id| failure_detail(id, error));
    // What a caller can correct goes before what was tried for it.
    rich.add_violations(details.violations.iter().map(violation));
    if let Some(failure) = failure {
        rich.add_failure(failure, details.attempts.iter().cloned().map(|line| attempt(line, view)).collect());
    }
    rich.finish(retry.trailer())
}

/// The status of a call that the framework refused by itself: `reason` for machines, beside its own code and message.
pub(super) fn framework_status(
    code: Code,
    reason: &str,
    message: &str,
    violated: Option<&Violation>,
    id: CallId,
) -> Status {
    let mut rich = RichStatus::new(code, message, MAX_MESSAGE_BYTES);
    rich.add(&error_info(reason, HashMap::new()));
    rich.add(&request_info(id));
    rich.add_violations(violated.into_iter().map(violation));
    rich.finish(MetadataMap::new())
}

/// What a client that tries again by itself shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// Wait this long.
    After(Duration),
    /// Leave it to the caller, who may wait this long: the server has as many second tries as it can bear.
    ByTheCaller(Option<Duration>),
    /// Not try: the same call would fail in the same way.
    Never,
    /// Whatever it does by itself.
    AsItLikes,
}

impl Retry {
    fn trailer(self) -> MetadataMap {
        let mut trailer = MetadataMap::new();
        match self {
            Self::After(delay) => {
                let millis = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
                trailer.insert(PUSHBACK, millis.into());
            }
            Self::Never | Self::ByTheCaller(_) => {
                trailer.insert(PUSHBACK, (-1).into());
            }
            Self::AsItLikes => {}
        }
        trailer
    }
}

fn retry(error: &Error) -> Retry {
    match by_reason(error) {
        Retry::After(delay) if error.details.budget_spent => Retry::ByTheCaller(Some(delay)),
        Retry::AsItLikes if error.details.budget_spent => Retry::ByTheCaller(None),
        retry => retry,
    }
}

fn by_reason(error: &Error) -> Retry {
    match error.reason {
        Reason::ProviderRateLimited
        | Reason::ProviderUnavailable
        | Reason::Overloaded
        | Reason::IssuerUnavailable
        | Reason::CallerLimitExceeded => {
            if error.details.futile {
                return Retry::Never;
            }
            Retry::After(error.details.retry_after.unwrap_or(DEFAULT_DELAY))
        }
        // Another replica may answer at once, and so may the same upstream after a defect or a silence.
        Reason::ShuttingDown
        | Reason::StreamInterrupted
        | Reason::ProviderTimeout
        | Reason::ProviderProtocolError
        | Reason::ClientStalled
        | Reason::UsageUnavailable
        | Reason::CacheUnavailable
        | Reason::Internal => Retry::AsItLikes,
        Reason::InvalidRequest
        | Reason::RequestTooLarge
        | Reason::ProviderRejected
        | Reason::ContextLengthExceeded
        | Reason::CapabilityNotSupported
        | Reason::CostLimitExceeded
        | Reason::PriceUnknown
        | Reason::CompletionNotFound
        | Reason::ModelNotFound
        | Reason::ProviderModelNotFound
        | Reason::ProviderQuotaExhausted
        | Reason::ProviderCredentialsRefused
        | Reason::DeadlineExceeded
        | Reason::Cancelled
        | Reason::MethodUnknown
        | Reason::ConfigurationInvalid
        | Reason::CacheMiss
        | Reason::ResultTooLarge
        | Reason::RequestIdReused
        | Reason::CredentialsInvalid
        | Reason::PermissionDenied => Retry::Never,
    }
}

fn error_info(reason: &str, metadata: HashMap<String, String>) -> pb::ErrorInfo {
    pb::ErrorInfo { reason: reason.into(), domain: DOMAIN.into(), metadata }
}

fn request_info(id: CallId) -> pb::RequestInfo {
    pb::RequestInfo { request_id: id.to_string(), serving_data: String::new() }
}

fn metadata(details: &Details) -> HashMap<String, String> {
    let nearest: Vec<&str> = details.nearest.iter().take(MAX_NEAREST).map(String::as_str).collect();
    let tried = details.attempts.len();
    let values = [
        ("provider", details.provider.as_ref().map(ToString::to_string)),
        ("model", details.model.as_ref().map(ToString::to_string)),
        ("upstreamStatus", details.upstream_status.map(|status| status.to_string())),
        ("upstreamRequestId", details.upstream_request_id.clone()),
        ("attempts", (tried > 0).then(|| tried.to_string())),
        ("nearest", (!nearest.is_empty()).then(|| nearest.join(", "))),
    ];
    let told = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    told.map(|(key, value)| (key, cut(value, MAX_VALUE_BYTES))).collect()
}

fn violation(violation: &Violation) -> pb::bad_request::FieldViolation {
    pb::bad_request::FieldViolation {
        field: violation.field.clone(),
        description: violation.rule.to_string(),
        ..Default::default()
    }
}

fn quota_failure(exhausted: &Exhausted) -> pb::QuotaFailure {
    let violation = pb::quota_failure::Violation {
        subject: exhausted.subject.clone(),
        description: exhausted.rule.to_string(),
        ..Default::default()
    };
    pb::QuotaFailure { violations: vec![violation] }
}

fn failure_detail(id: CallId, error: &Error) -> proto::FailureDetail {
    let details = &error.details;
    // Only about a request that it rejected are a provider's words the caller's business.
    let told =
        matches!(error.reason, Reason::ProviderRejected | Reason::ContextLengthExceeded | Reason::RequestTooLarge);
    proto::FailureDetail {
        id: id.to_string(),
        usage: details.usage.clone().map(usage),
        cost: details.cost.clone().map(cost),
        attempts: Vec::new(),
        attempts_omitted: 0,
        provider_error: details.provider_error.as_ref().filter(|_| told).map(provider_error),
    }
}

fn provider_error(error: &ProviderError) -> proto::ProviderError {
    let word = |text: &String| cut(text.clone(), MAX_WORD_BYTES);
    proto::ProviderError {
        http_status: error.http_status.into(),
        r#type: word(&error.kind),
        code: word(&error.code),
        param: word(&error.param),
        message: cut(error.message.clone(), MAX_WORDS_BYTES),
    }
}

#[cfg(test)]
mod tests;
