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
        /// Whether it is a limit that calls have in common; no, where the request alone is larger than it.
        of_all: bool,
    },
    /// The request: the endpoint read it and said so, so it is well.
    Request,
    /// The caller or this server: it says nothing about the endpoint.
    Elsewhere,
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
        Reason::ProviderRateLimited => Fault::Limit { hold: error.details.retry_after, of_all: !error.details.futile },
        Reason::ProviderRejected | Reason::ContextLengthExceeded | Reason::RequestTooLarge => Fault::Request,
        Reason::InvalidRequest
        | Reason::CapabilityNotSupported
        | Reason::CostLimitExceeded
        | Reason::PriceUnknown
        | Reason::CompletionNotFound
        | Reason::ModelNotFound
        | Reason::DeadlineExceeded
        | Reason::Overloaded
        | Reason::ShuttingDown
        | Reason::ClientStalled
        | Reason::Cancelled
        | Reason::MethodUnknown
        | Reason::ConfigurationInvalid
        | Reason::UsageUnavailable
        | Reason::CacheUnavailable
        | Reason::CacheMiss
        | Reason::ResultTooLarge
        | Reason::RequestIdReused
        | Reason::CredentialsInvalid
        | Reason::IssuerUnavailable
        | Reason::PermissionDenied
        | Reason::CallerLimitExceeded
        | Reason::Internal => Fault::Elsewhere,
    }
}

/// Whether the endpoint has too much to do. A single request that is larger than the whole limit does not say so.
pub(super) fn is_overload(error: &Error) -> bool {
    if error.details.futile {
        return false;
    }
    matches!(error.reason, Reason::ProviderRateLimited | Reason::ProviderTimeout)
        || matches!(error.details.upstream_status, Some(503 | 529))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn error(reason: Reason, status: Option<u16>) -> Error {
        Error::new(reason, "x").with(|details| {
            details.upstream_status = status;
            details.retry_after = Some(MINUTE);
        })
    }

    #[test]
    fn every_reason_is_somebodys_fault() {
        use Severity::{Certain, Chance};
        let expected = |reason| match reason {
            Reason::ProviderCredentialsRefused => (Fault::Key(Certain), false),
            Reason::ProviderQuotaExhausted => (Fault::Key(Certain), false),
            Reason::ProviderModelNotFound => (Fault::Endpoint(Certain), false),
            Reason::ProviderUnavailable => (Fault::Endpoint(Chance), false),
            Reason::ProviderTimeout => (Fault::Endpoint(Chance), true),
            Reason::ProviderProtocolError => (Fault::Endpoint(Chance), false),
            Reason::StreamInterrupted => (Fault::Endpoint(Chance), false),
            Reason::ProviderRateLimited => (Fault::Limit { hold: Some(MINUTE), of_all: true }, true),
            Reason::ProviderRejected => (Fault::Request, false),
            Reason::ContextLengthExceeded => (Fault::Request, false),
            Reason::RequestTooLarge => (Fault::Request, false),
            _ => (Fault::Elsewhere, false),
        };
        for reason in Reason::ALL {
            let error = error(reason, None);
            assert_eq!((fault(&error), is_overload(&error)), expected(reason), "{reason}");
            let names_the_provider = reason.as_str().starts_with("PROVIDER_");
            assert!(!names_the_provider || fault(&error) != Fault::Elsewhere, "{reason} is about the provider");
        }
    }

    #[test]
    fn a_status_tells_a_key_from_a_model_and_an_overload_from_a_defect() {
        let refused = |status| fault(&error(Reason::ProviderCredentialsRefused, Some(status)));
        assert_eq!(refused(401), Fault::Key(Severity::Certain));
        assert_eq!(refused(403), Fault::Endpoint(Severity::Certain));
        for (status, overload) in [(500, false), (502, false), (503, true), (504, false), (529, true)] {
            assert_eq!(is_overload(&error(Reason::ProviderUnavailable, Some(status))), overload, "{status}");
        }
    }

    #[test]
    fn a_request_that_is_larger_than_the_whole_limit_is_no_overload() {
        let limited = error(Reason::ProviderRateLimited, Some(429));
        assert!(is_overload(&limited) && !is_overload(&limited.with(|details| details.futile = true)));
    }
}
