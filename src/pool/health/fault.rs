//! Whose fault a failure is.

use std::time::Duration;

use super::breaker::Severity;
use crate::domain::{Error, Reason};

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The key, for all models of the account.
    Key(Severity),
    /// The endpoint.
    Endpoint(Severity),
    /// A rate limit: the endpoint is well.
    Limit {
        /// How long it wants to be left alone.
        hold: Option<Duration>,
    },
    /// The request, or nobody: the endpoint is well.
    Request,
}

/// Whose fault `error` is.
pub(super) fn fault(error: &Error) -> Fault {
    match error.reason {
        // 403 is most often about one model; 401 about the key.
        Reason::ProviderCredentialsRefused if error.details.upstream_status == Some(403) => {
            Fault::Endpoint(Severity::Certain)
        }
        Reason::ProviderCredentialsRefused | Reason::ProviderQuotaExhausted => Fault::Key(Severity::Certain),
        Reason::ProviderModelNotFound => Fault::Endpoint(Severity::Certain),
        Reason::ProviderUnavailable
        | Reason::ProviderTimeout
        | Reason::ProviderProtocolError
        | Reason::StreamInterrupted => Fault::Endpoint(Severity::Chance),
        Reason::ProviderRateLimited => Fault::Limit { hold: error.details.retry_after },
        Reason::InvalidRequest
        | Reason::RequestTooLarge
        | Reason::ProviderRejected
        | Reason::ContextLengthExceeded
        | Reason::CapabilityNotSupported
        | Reason::ModelNotFound
        | Reason::DeadlineExceeded
        | Reason::Overloaded
        | Reason::ShuttingDown
        | Reason::ClientStalled
        | Reason::Cancelled
        | Reason::MethodUnknown
        | Reason::ConfigurationInvalid
        | Reason::Internal => Fault::Request,
    }
}

/// Whether the endpoint has too much to do.
pub(super) fn is_overload(error: &Error) -> bool {
    matches!(error.reason, Reason::ProviderRateLimited | Reason::ProviderTimeout)
        || matches!(error.details.upstream_status, Some(503 | 529))
}
