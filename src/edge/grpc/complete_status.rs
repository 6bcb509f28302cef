//! A layer that completes what the framework refuses by itself: an unknown method, a message that is too large or no
//! message, an encoding that is not spoken. Such a status comes in the head of a response and without details; it
//! leaves with them, and with the code of the contract.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::convert::LedgerView;
use super::status::{framework_status, name, status};
use crate::domain::{CallId, Error, Reason, Violation};

/// Where the details of a status stand.
const DETAILS: &str = "grpc-status-details-bin";
/// What tonic adds when it refuses an encoding, and only then.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Makes ids for calls that have none.
pub(crate) type MakeId = Arc<dyn Fn() -> CallId + Send + Sync>;

/// Completes the statuses of a service.
#[derive(Clone)]
pub(crate) struct CompleteStatusLayer {
    make_id: MakeId,
}

impl CompleteStatusLayer {
    /// A call is known by the [`CallId`] in its request's extensions; `make_id` is asked where there is none.
    pub(crate) fn new(make_id: MakeId) -> Self {
        Self { make_id }
    }
}

impl<S> Layer<S> for CompleteStatusLayer {
    type Service = CompleteStatus<S>;

    fn layer(&self, inner: S) -> CompleteStatus<S> {
        CompleteStatus { inner, make_id: self.make_id.clone() }
    }
}

/// A service whose statuses are complete.
#[derive(Clone)]
pub(crate) struct CompleteStatus<S> {
    inner: S,
    make_id: MakeId,
}

impl<S, B> Service<Request<B>> for CompleteStatus<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CompleteStatusFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<CallId>().copied();
        CompleteStatusFuture { inner: self.inner.call(request), id, make_id: self.make_id.clone() }
    }
}

pin_project! {
    /// A response to come.
    pub(crate) struct CompleteStatusFuture<F> {
        #[pin]
        inner: F,
        id: Option<CallId>,
        make_id: MakeId,
    }
}

impl<F, E> Future for CompleteStatusFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if is_incomplete(response.headers()) {
            let id = this.id.unwrap_or_else(|| (this.make_id)());
            complete(response.headers_mut(), id);
        }
        Poll::Ready(Ok(response))
    }
}

/// Whether this head carries a status that is not OK and has no details.
fn is_incomplete(headers: &HeaderMap) -> bool {
    headers.get(Status::GRPC_STATUS).is_some_and(|code| code != "0") && !headers.contains_key(DETAILS)
}

fn complete(headers: &mut HeaderMap, id: CallId) {
    let Some(found) = Status::from_header_map(headers) else { return };
    let is_encoding = found.code() == Code::Unimplemented && headers.contains_key(ACCEPT_ENCODING);
    let completed = if is_encoding { unknown_encoding(&found, id) } else { by_code(&found, id) };
    let mut added = HeaderMap::new();
    // Our own texts and base64 are always headers; if they were not, what the framework said would stand.
    if completed.add_header(&mut added).is_ok() {
        headers.extend(added);
    }
}

fn by_code(found: &Status, id: CallId) -> Status {
    match meant(found) {
        Some(error) => status(&error, Some(id), LedgerView::WithoutEndpoints),
        // Answers of services that are not ours, such as health: the code stays and gives the reason its name.
        None => framework_status(found.code(), name(found.code()), found.message(), None, id),
    }
}

/// What a code of the framework means in the contract; none: it is no word of the framework's. Calls of our own methods
/// come with details, so these codes are about what the framework does before a method has its message.
pub(super) fn meant(found: &Status) -> Option<Error> {
    Some(match found.code() {
        Code::Unimplemented => Error::new(Reason::MethodUnknown, "this server has no such method"),
        Code::OutOfRange | Code::ResourceExhausted => {
            Error::new(Reason::RequestTooLarge, "the message is larger than this server's limit")
        }
        Code::InvalidArgument | Code::Internal => {
            Error::invalid("message", format!("must be one of the contract: {}", found.message()))
        }
        Code::Cancelled => Error::new(Reason::Cancelled, "the call was cancelled"),
        Code::DeadlineExceeded => Error::new(Reason::DeadlineExceeded, "the deadline passed"),
        _ => return None,
    })
}

/// The gRPC protocol fixes the code and the list of encodings beside it.
fn unknown_encoding(found: &Status, id: CallId) -> Status {
    let violated =
        Violation { field: "grpc-encoding".into(), rule: "must be an encoding of grpc-accept-encoding".into() };
    let reason = Reason::InvalidRequest.as_str();
    framework_status(Code::Unimplemented, reason, found.message(), Some(&violated), id)
}

#[cfg(test)]
mod tests;
