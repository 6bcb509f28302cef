//! Calls that have no work to finish: health and reflection end as soon as the server refuses new calls, or their connection
//! is told to go away.
//!
//! Their streams last as long as their clients like, and would keep connections, and with them the process, until the
//! end of the grace. Health is told without a key, so that they would keep others' places, too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::convert::LedgerView;
use super::status;
use crate::domain::{CallId, Error, Reason};
use crate::edge::Drain;
use crate::edge::streams::Beside;

/// A service whose calls last until the drain, or the end of their connection, at most.
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
        let leaving = request.extensions().get::<Beside>().map(|beside| beside.leaving.clone());
        let ends = Ends { drain: self.drain.clone(), leaving: leaving.unwrap_or_default(), id };
        // Reflection reads on in a task of its own, which ends only with what its client sends.
        let request = request.map(|body| ends.clone().of(body));
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| ends.of(body))) })
    }
}

/// When a call ends.
#[derive(Clone)]
struct Ends {
    drain: Drain,
    leaving: CancellationToken,
    id: Option<CallId>,
}

impl Ends {
    fn of(self, body: Body) -> Body {
        let Self { drain, leaving, id } = self;
        Body::new(Ending { body, drained: drain.refused(), left: leaving.cancelled_owned(), id, over: false })
    }
}

pin_project! {
    /// A body that ends with the drain, or with its connection.
    struct Ending {
        #[pin]
        body: Body,
        #[pin]
        drained: WaitForCancellationFutureOwned,
        #[pin]
        left: WaitForCancellationFutureOwned,
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
        let why = match this.drained.poll(context) {
            Poll::Ready(()) => "the server stops",
            Poll::Pending => {
                ready!(this.left.poll(context));
                "the connection has lasted long enough; another one serves on"
            }
        };
        *this.over = true;
        let mut trailers = HeaderMap::new();
        let error = Error::new(Reason::ShuttingDown, why);
        let status = status::status(&error, *this.id, LedgerView::WithoutEndpoints);
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }
}
