//! Many requests in one message or in a stream, and what became of each.

use prost::Message;
use tonic::Status;
use tonic_types::pb;

use super::violations::{Path, Violations};
use crate::domain::Error;
use crate::proto;
use crate::proto::stream_batch_complete_request::Message as Part;

/// The most requests of a batch that is one message.
const MAX_REQUESTS: usize = 100;
/// How many run at a time, where the client does not say it, and at most.
const DEFAULT_CONCURRENCY: usize = 5;
const MAX_CONCURRENCY: i32 = 100;
/// The longest name of an item, in characters.
const MAX_NAME_CHARS: usize = 256;

/// How many calls run at a time, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Concurrency(usize);

impl Concurrency {
    /// As a number.
    pub(crate) const fn get(self) -> usize {
        self.0
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self(DEFAULT_CONCURRENCY)
    }
}

/// What a client says in a stream of requests.
#[derive(Debug)]
pub(crate) enum Said {
    /// How items are run.
    Settings(Concurrency),
    /// An item.
    Item {
        /// The client's name for it.
        name: String,
        /// What is asked.
        request: Box<proto::CompleteRequest>,
    },
}

/// The requests of a batch, and how many run at a time. What is wrong with one of them is told with its result.
///
/// # Errors
/// `INVALID_REQUEST`: there is none, there are too many, or too many shall run.
pub(crate) fn to_batch(
    message: proto::BatchCompleteRequest,
) -> Result<(Vec<proto::CompleteRequest>, Concurrency), Error> {
    let mut found = Violations::default();
    let of_requests = Path::ROOT.field("requests");
    found.check(!message.requests.is_empty(), &of_requests, "must have at least one entry");
    found.check_len(message.requests.len(), MAX_REQUESTS, &of_requests);
    let concurrency = concurrency(message.max_concurrency, &Path::ROOT, &mut found);
    found.judge().map(|()| (message.requests, concurrency))
}

/// What was said in a stream.
///
/// # Errors
/// `INVALID_REQUEST`: nothing was, or not as it must be.
pub(crate) fn said(message: proto::StreamBatchCompleteRequest) -> Result<Said, Error> {
    let mut found = Violations::default();
    let said = match message.message {
        None => return Err(Error::invalid("message", "must be set: `settings` or `item`")),
        Some(Part::Settings(settings)) => {
            Said::Settings(concurrency(settings.max_concurrency, &Path::ROOT.field("settings"), &mut found))
        }
        Some(Part::Item(item)) => {
            let path = Path::ROOT.field("item");
            let length = item.custom_id.chars().count();
            let is_right = (1..=MAX_NAME_CHARS).contains(&length);
            found.check(is_right, &path.field("custom_id"), "must have 1 to 256 characters");
            found.check(item.request.is_some(), &path.field("request"), "must be set");
            Said::Item { name: item.custom_id, request: item.request.unwrap_or_default() }
        }
    };
    found.judge().map(|()| said)
}

fn concurrency(number: i32, parent: &Path<'_>, found: &mut Violations) -> Concurrency {
    found.check((0..=MAX_CONCURRENCY).contains(&number), &parent.field("max_concurrency"), "must be 0 to 100");
    match usize::try_from(number) {
        Ok(0) | Err(_) => Concurrency::default(),
        Ok(number) => Concurrency(number),
    }
}

/// A failed call as a result: the status that it would have ended with, details included.
pub(crate) fn failed(id: String, status: &Status) -> proto::BatchResult {
    let whole = pb::Status::decode(status.details()).ok().filter(|whole| !whole.details.is_empty());
    let plain = || pb::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() };
    proto::BatchResult { id, result: Some(proto::batch_result::Result::Status(whole.unwrap_or_else(plain))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(error: &Error) -> Vec<String> {
        error.details.violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn each_rule_of_a_batch_broken_once() {
        let of = |count: usize, max_concurrency| proto::BatchCompleteRequest {
            requests: vec![proto::CompleteRequest::default(); count],
            max_concurrency,
        };
        for (message, fields) in [
            (of(0, 0), &["requests"][..]),
            (of(101, 0), &["requests"]),
            (of(1, -1), &["max_concurrency"]),
            (of(1, 101), &["max_concurrency"]),
            (of(0, 101), &["requests", "max_concurrency"]),
        ] {
            assert_eq!(broken(&to_batch(message).unwrap_err()), fields);
        }
        assert_eq!(to_batch(of(100, 0)).unwrap().1, Concurrency(5));
        assert_eq!(to_batch(of(1, 100)).unwrap().1, Concurrency(100));
    }

    #[test]
    fn each_rule_of_a_stream_broken_once() {
        let message = |message| proto::StreamBatchCompleteRequest { message };
        let item = |custom_id: &str, request| {
            message(Some(Part::Item(proto::BatchItem { custom_id: custom_id.to_owned(), request })))
        };
        let settings = |max_concurrency| message(Some(Part::Settings(proto::BatchSettings { max_concurrency })));
        let request = || Some(Box::default());
        for (message, field) in [
            (message(None), "message"),
            (settings(101), "settings.max_concurrency"),
            (item("", request()), "item.custom_id"),
            (item(&"x".repeat(257), request()), "item.custom_id"),
            (item("x", None), "item.request"),
        ] {
            assert_eq!(broken(&said(message).unwrap_err()), [field]);
        }
        assert!(matches!(said(settings(7)).unwrap(), Said::Settings(Concurrency(7))));
        assert!(matches!(said(item(&"ä".repeat(256), request())).unwrap(), Said::Item { .. }));
    }

    #[test]
    fn a_failed_call_keeps_its_details() {
        let error = Error::invalid("max_tokens", "must be at least 1");
        let status = crate::edge::grpc::status::status(&error, None, super::super::LedgerView::Full);
        let Some(proto::batch_result::Result::Status(told)) = failed("id".to_owned(), &status).result else {
            panic!("it is a status")
        };
        assert_eq!((told.code, told.message.as_str()), (3, "max_tokens: must be at least 1"));
        assert!(told.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.BadRequest")));
    }
}
