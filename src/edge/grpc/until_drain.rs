//! Calls that have no work to finish: health and reflection end as soon as the server refuses new calls.
//!
//! Their streams last as long as their clients like, and would keep connections, and with them the process, until the
//! end of the grace.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::convert::LedgerView;
use super::status;
use crate::domain::{CallId, Error, Reason};
use crate::edge::Drain;

/// A service whose calls last until the drain at most.
#[derive(Clone, Debug)]
pub(super) struct UntilDrain<S> {
    inner: S,
    drain: Drain,
}

impl<S> UntilDrain<S> {
    pub(super) fn new(inner: S, drain: Drain) -> Self {
        Self { inner, drain }
    }
}

impl<S: NamedService> NamedService for UntilDrain<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for UntilDrain<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = request.extensions().get().copied();
        // Reflection reads on in a task of its own, which ends only with what its client sends.
        let request = request.map(|body| ending(body, self.drain.clone(), id));
        let drain = self.drain.clone();
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| ending(body, drain, id))) })
    }
}

fn ending(body: Body, drain: Drain, id: Option<CallId>) -> Body {
    Body::new(Ending { body, end: drain.refused(), id, over: false })
}

pin_project! {
    /// A body that ends with the drain.
    struct Ending {
        #[pin]
        body: Body,
        #[pin]
        end: WaitForCancellationFutureOwned,
        id: Option<CallId>,
        over: bool,
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.body.poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(this.end.poll(context));
        *this.over = true;
        let mut trailers = HeaderMap::new();
        let error = Error::new(Reason::ShuttingDown, "the server stops");
        let status = status::status(&error, *this.id, LedgerView::WithoutEndpoints);
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }
}
