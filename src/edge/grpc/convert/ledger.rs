//! The ledger of what was tried, as far as a caller may see it.

use super::usage::{cost, duration, usage};
use crate::callers::LedgerView;
use crate::domain::{Attempt, AttemptOutcome};
use crate::edge::grpc::status::code;
use crate::proto;

/// One line of the ledger.
pub(crate) fn attempt(attempt: Attempt, view: LedgerView) -> proto::Attempt {
    use proto::AttemptOutcome as Proto;
    let (outcome, reason) = match attempt.outcome {
        AttemptOutcome::Finished => (Proto::Finished, None),
        AttemptOutcome::Dropped => (Proto::Dropped, None),
        AttemptOutcome::Failed(reason) => (Proto::Failed, Some(reason)),
        AttemptOutcome::Skipped(reason) => (Proto::Skipped, Some(reason)),
    };
    let endpoint = match view {
        LedgerView::Full => attempt.endpoint.name(),
        LedgerView::WithoutEndpoints => String::new(),
    };
    proto::Attempt {
        endpoint,
        model: attempt.endpoint.model.to_string(),
        outcome: outcome.into(),
        status: reason.map_or(0, |reason| code(reason).into()),
        reason: reason.map_or_else(String::new, |reason| reason.to_string()),
        duration: attempt.duration.map(duration),
        time_to_first_event: attempt.time_to_first_event.map(duration),
        usage: attempt.usage.map(usage),
        cost: attempt.cost.map(cost),
    }
}
