//! What became of a call, as it goes out.

use uuid::Uuid;

use super::answer::finish_reason;
use super::ledger::{LedgerView, attempt};
use super::list_usage::timestamp;
use super::usage::{cost, usage};
use crate::domain::{CallId, Error};
use crate::proto;
use crate::store::{Completion, Fate, Standing};

/// The call that is asked for.
///
/// # Errors
/// `INVALID_REQUEST` when the id cannot be one.
pub(crate) fn completion_id(request: &proto::GetCompletionRequest) -> Result<CallId, Error> {
    let id = Uuid::try_parse(&request.id);
    id.map(CallId::new).map_err(|_| Error::invalid("id", "must be the server's id of a call, a UUID"))
}

/// A call that runs, or has ended.
pub(crate) fn completion(found: Completion, view: LedgerView) -> proto::GetCompletionResponse {
    use proto::CompletionState as State;
    let (used, cost_of_all) = (found.usage().cloned().map(usage), found.cost().map(cost));
    let (fate, end_time) = match found.standing {
        Standing::Running => (None, None),
        Standing::Ended(fate, at) => (Some(fate), Some(timestamp(at))),
    };
    let mut completion = proto::Completion {
        id: found.id.to_string(),
        create_time: Some(timestamp(found.at)),
        end_time,
        model: found.model.map_or_else(String::new, |model| model.to_string()),
        provider: found.provider.map_or_else(String::new, |provider| provider.to_string()),
        usage: used,
        cost: cost_of_all,
        attempts: found.attempts.into_iter().map(|line| attempt(line, view)).collect(),
        ..Default::default()
    };
    let state = match fate {
        None => State::Running,
        Some(Fate::Cancelled) => State::Cancelled,
        Some(Fate::Succeeded(reason)) => {
            completion.finish_reason = finish_reason(reason).into();
            State::Succeeded
        }
        Some(Fate::Failed { code, reason, message }) => {
            completion.failure = Some(proto::CompletionFailure { code, reason: reason.to_string(), message });
            State::Failed
        }
    };
    completion.state = state.into();
    proto::GetCompletionResponse { completion: Some(completion) }
}
