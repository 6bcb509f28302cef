//! What a caller is told when every attempt has failed: the most useful of the failures.

use std::time::Duration;

use tokio::time::Instant;

use super::guard::TooDear;
use super::plan::none_fits;
use crate::domain::{Error, Reason};
use crate::pool::Access;
use crate::protocol::Unfit;

/// How long to wait before asking again where every endpoint is as busy as it may be.
const BUSY: Duration = Duration::from_secs(1);

/// Why each target did not answer.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: Vec<Error>,
    misfits: Vec<Unfit>,
    too_dear: Vec<TooDear>,
    passed_over: Vec<Error>,
}

impl Failures {
    /// An attempt failed.
    pub(super) fn failed(&mut self, error: Error) {
        self.failed.push(error);
    }

    /// A target cannot take the request.
    pub(super) fn unfit(&mut self, unfit: Unfit) {
        self.misfits.push(unfit);
    }

    /// A target may cost more than the call's bound.
    pub(super) fn too_dear(&mut self, why: TooDear) {
        self.too_dear.push(why);
    }

    /// A target was not asked.
    pub(super) fn passed_over(&mut self, error: Error) {
        self.passed_over.push(error);
    }

    /// The most useful of them, with the shortest hint of those that may be asked again.
    pub(super) fn most_useful(self) -> Error {
        let Self { failed, misfits, too_dear, passed_over } = self;
        if failed.is_empty() && passed_over.is_empty() {
            // What the bound is not enough for says more than that no price is known.
            let dear = too_dear.into_iter().min_by_key(|why| why.reason() == Reason::PriceUnknown);
            return match dear {
                Some(why) => why.into_error(),
                None if misfits.is_empty() => outrun(),
                None => none_fits(&misfits),
            };
        }
        let mut all = failed;
        let attempted = all.len();
        all.extend(passed_over);
        let limited = all.iter().all(|error| error.reason == Reason::ProviderRateLimited);
        let passing = || all.iter().filter(|error| is_passing(error.reason) && !error.details.futile);
        let is_futile = passing().next().is_none();
        let hint = passing().filter_map(|error| error.details.retry_after).min();
        // Among failures that are equally useful the last one, and one that was seen before one that was expected.
        let best = all.into_iter().enumerate().min_by_key(|(place, error)| {
            (usefulness(error.reason, limited), *place >= attempted, std::cmp::Reverse(*place))
        });
        let Some((_, error)) = best else { return outrun() };
        if is_passing(error.reason) && !is_futile {
            // Whoever said that it cannot help spoke for one endpoint; another one may be back by then.
            return error.with(|details| (details.retry_after, details.futile) = (hint, false));
        }
        error
    }
}

/// Nobody failed and nobody was passed over, but each time somebody else was faster.
fn outrun() -> Error {
    let message = "others have taken every place at an endpoint that became free";
    Error::new(Reason::Overloaded, message).with(|details| details.retry_after = Some(BUSY))
}

/// The failure that a target stands for that was not asked.
pub(super) fn not_asked(access: Access, now: Instant) -> Option<Error> {
    let wait = |until: Instant| until.saturating_duration_since(now);
    let (reason, message, hint) = match access {
        Access::Free | Access::Probe => return None,
        Access::Held { until } => (
            Reason::ProviderRateLimited,
            "the provider's rate limit is reached, and it is not asked for now",
            wait(until),
        ),
        Access::Ejected { until } => {
            (Reason::ProviderUnavailable, "the endpoint has failed too often of late and is not asked", wait(until))
        }
        // Which of the two it was has been told to the call that found out.
        Access::LockedOut { .. } => {
            let message = "the provider refuses the key, or its account has no credit, and it is not asked for now";
            return Some(Error::new(Reason::ProviderCredentialsRefused, message));
        }
        Access::Full => {
            (Reason::Overloaded, "as many requests are in flight at the endpoint as its limit allows", BUSY)
        }
    };
    Some(Error::new(reason, message).with(|details| details.retry_after = Some(hint)))
}

/// Whether the failure passes by itself, so that a hint about it is worth something.
fn is_passing(reason: Reason) -> bool {
    matches!(reason, Reason::ProviderRateLimited | Reason::ProviderUnavailable | Reason::Overloaded)
}

/// Lower is more useful.
fn usefulness(reason: Reason, all_limited: bool) -> u8 {
    match reason {
        // What a caller can mend, and what has nothing to do with an upstream.
        Reason::InvalidRequest
        | Reason::RequestTooLarge
        | Reason::ProviderRejected
        | Reason::ContextLengthExceeded
        | Reason::CapabilityNotSupported
        | Reason::CostLimitExceeded
        | Reason::PriceUnknown
        | Reason::CompletionNotFound
        | Reason::ModelNotFound
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
        | Reason::Internal => 0,
        Reason::ProviderRateLimited if all_limited => 1,
        Reason::ProviderUnavailable | Reason::StreamInterrupted => 2,
        Reason::ProviderTimeout => 3,
        Reason::DeadlineExceeded => 4,
        Reason::ProviderProtocolError => 5,
        Reason::ProviderRateLimited => 6,
        Reason::Overloaded => 7,
        Reason::ProviderCredentialsRefused | Reason::ProviderQuotaExhausted | Reason::ProviderModelNotFound => 8,
    }
}

#[cfg(test)]
mod tests;
