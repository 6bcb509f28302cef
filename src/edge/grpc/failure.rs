//! A failed call as the other face tells it: what a status says, without gRPC's own types.

use std::time::Duration;

use http::HeaderMap;
use prost::Message;
use tonic::Status;
use tonic_types::{StatusExt, pb};

use super::status::name;

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Failure {
    /// The code by its name (`INVALID_ARGUMENT`).
    pub(in crate::edge) code: &'static str,
    /// The word of the contract for the reason; empty: there is none.
    pub(in crate::edge) reason: String,
    /// Everything that is told.
    pub(in crate::edge) status: pb::Status,
    /// How long to wait before trying again; none: that is not said, or does not help.
    pub(in crate::edge) retry_after: Option<Duration>,
}

impl Failure {
    /// What stands in the head of an answer that has nothing but a status; none: it has an answer.
    pub(in crate::edge) fn in_head(headers: &HeaderMap) -> Option<Self> {
        headers.contains_key(Status::GRPC_STATUS).then(|| Status::from_header_map(headers).map(Self::from))?
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let told = pb::Status::decode(status.details()).ok().filter(|told| !told.details.is_empty());
        let plain =
            || pb::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() };
        Self {
            code: name(status.code()),
            reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
            status: told.unwrap_or_else(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::convert::LedgerView;
    use super::super::status::status;
    use super::*;
    use crate::domain::{CallId, Error, Reason};

    #[test]
    fn a_head_with_a_status_is_a_failure_with_all_that_it_says() {
        let error = Error::new(Reason::Overloaded, "full").with(|details| {
            details.retry_after = Some(Duration::from_secs(3));
        });
        let status = status(&error, Some(CallId::new(uuid::Uuid::nil())), LedgerView::Full);
        let head = status.into_http::<()>();
        let failure = Failure::in_head(head.headers()).unwrap();
        assert_eq!((failure.code, failure.reason.as_str()), ("UNAVAILABLE", "OVERLOADED"));
        assert_eq!((failure.status.code, failure.status.message.as_str()), (14, "full"));
        assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
        assert!(Failure::in_head(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_status_without_details_is_told_as_it_is() {
        let failure = Failure::from(Status::not_found("gone"));
        assert_eq!((failure.code, failure.status.message.as_str()), ("NOT_FOUND", "gone"));
        assert_eq!((failure.reason.as_str(), failure.retry_after), ("", None));
    }
}
