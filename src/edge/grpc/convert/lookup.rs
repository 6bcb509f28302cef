//! What became of a call, as it goes out.

use uuid::Uuid;

use super::answer::{finish_reason, response};
use super::ledger::attempt;
use super::list_usage::timestamp;
use super::usage::{cost, usage};
use crate::callers::LedgerView;
use crate::domain::{Answer, CallId, Error, RequestId};
use crate::pipeline::Elsewhere;
use crate::proto;
use crate::store::{Completion, Fate, Standing};

/// The call that is asked for.
///
/// # Errors
/// `INVALID_REQUEST` when the id cannot be one, or there is none, or there are two.
pub(crate) fn completion_id(request: &proto::GetCompletionRequest) -> Result<CompletionId, Error> {
    match (request.id.as_str(), request.request_id.as_str()) {
        ("", "") => Err(Error::invalid("id", "must be set, or `request_id` in its place")),
        (ours, "") => {
            let id = Uuid::try_parse(ours).map(|id| CompletionId::Ours(CallId::new(id)));
            id.map_err(|_| Error::invalid("id", "must be the server's id of a call, a UUID"))
        }
        ("", own) => {
            let id = Uuid::try_parse(own).map(|id| CompletionId::Own(RequestId::new(id)));
            id.map_err(|_| Error::invalid("request_id", "must be a UUID"))
        }
        _ => Err(Error::invalid("request_id", "must not be set beside `id`")),
    }
}

/// How a call is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompletionId {
    /// By the server.
    Ours(CallId),
    /// By its caller.
    Own(RequestId),
}

/// A call that runs, or has ended.
pub(crate) fn completion(found: Completion, answer: Option<Answer>, view: LedgerView) -> proto::GetCompletionResponse {
    use proto::CompletionState as State;
    let (used, cost_of_all) = (found.usage().cloned().map(usage), found.cost().map(cost));
    let (fate, end_time) = match found.standing {
        Standing::Running => (None, None),
        Standing::Ended(fate, at) => (Some(fate), Some(timestamp(at))),
    };
    let mut completion = proto::Completion {
        response: answer.map(|answer| response(answer, view)),
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

/// A call of another process, of which its answer is known, or that it runs.
pub(crate) fn completion_elsewhere(found: Elsewhere, view: LedgerView) -> proto::GetCompletionResponse {
    use proto::CompletionState as State;
    let completion = match found {
        Elsewhere::Running(id) => proto::Completion {
            id: id.to_string(),
            create_time: id.began().map(timestamp),
            state: State::Running.into(),
            ..Default::default()
        },
        Elsewhere::Finished(answer, ended) => {
            // What it has cost is what it would cost again.
            let (id, saved) = (answer.end.id, answer.end.saved.clone());
            let cost_of_all = saved.as_ref().and_then(|saved| saved.cost.clone()).map(cost);
            proto::Completion {
                id: id.to_string(),
                create_time: id.began().map(timestamp),
                end_time: ended.map(timestamp),
                state: State::Succeeded.into(),
                model: answer.end.model.to_string(),
                provider: answer.end.provider.to_string(),
                finish_reason: finish_reason(answer.end.finish.reason).into(),
                usage: saved.map(|saved| usage(saved.usage)),
                cost: cost_of_all,
                response: Some(response(*answer, view)),
                ..Default::default()
            }
        }
    };
    proto::GetCompletionResponse { completion: Some(completion) }
}
