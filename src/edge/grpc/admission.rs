//! Who is let in: decided on the headers, and while a body arrives, by the bytes that are in flight.
//!
//! What is taken for a call is given back when its response has ended or was dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::convert::LedgerView;
use super::status;
use super::timeout::grpc_timeout;
use crate::domain::{CallId, Error, Reason};
use crate::edge::worker::{Held, Load};

/// The bounds on what callers may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One request, in bytes.
    pub max_request_bytes: usize,
    /// All requests that are being served, in bytes.
    pub max_bytes_in_flight: u64,
    /// How long a request may take to arrive, where its caller's deadline is not earlier.
    pub arrival: Duration,
}

/// The bytes of all requests that are being served. Clones share them.
#[derive(Clone, Debug)]
pub struct Admission {
    in_flight: Arc<AtomicU64>,
    limits: Limits,
}

/// When a call's headers came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived(pub(super) Instant);

impl Admission {
    /// Nothing is in flight.
    pub fn new(limits: Limits) -> Self {
        Self { in_flight: Arc::default(), limits }
    }

    /// The bytes that are in flight.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn open(&self) -> Arc<Charge> {
        Arc::new(Charge { admission: self.clone(), bytes: AtomicU64::new(0) })
    }
}

/// What one call has in flight, given back at its end.
#[derive(Debug)]
pub(super) struct Charge {
    admission: Admission,
    bytes: AtomicU64,
}

impl Charge {
    /// Takes `bytes` more, unless there would be too many.
    fn take(&self, bytes: u64) -> Result<(), Error> {
        let before = self.admission.in_flight.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.admission.limits.max_bytes_in_flight {
            Err(overloaded())
        } else {
            Ok(())
        }
    }

    /// Takes what is missing to `bytes`: a compressed request is larger than what came.
    pub(super) fn raise_to(&self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.take(bytes.saturating_sub(self.bytes.load(Ordering::Relaxed)))
    }

    /// Gives everything back before the response is gone: its client does not take it. Only the first time counts.
    pub(super) fn give_back(&self) {
        self.admission.in_flight.fetch_sub(self.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn overloaded() -> Error {
    Error::new(Reason::Overloaded, "too many bytes of requests are in flight on this server")
        .with(|details| details.retry_after = Some(Duration::from_secs(1)))
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the deadline passed before the request had arrived")
}

/// A service behind the admission.
#[derive(Clone, Debug)]
pub(super) struct Admitted<S> {
    inner: S,
    admission: Admission,
    load: Load,
    view: LedgerView,
}

impl<S> Admitted<S> {
    pub(super) fn new(inner: S, admission: Admission, load: Load, view: LedgerView) -> Self {
        Self { inner, admission, load, view }
    }
}

impl<S> Service<http::Request<Incoming>> for Admitted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Incoming>) -> Self::Future {
        let id = CallId::new(Uuid::now_v7());
        request.extensions_mut().insert(id);
        let refusal = Refusal { id, view: self.view };
        let charge = self.admission.open();
        if let Err(error) = charge.take(0) {
            return Box::pin(std::future::ready(Ok(refusal.status(&error).into_http())));
        }
        let stream = self.load.stream();
        let arrived = Instant::now();
        request.extensions_mut().insert(Arrived(arrived));
        request.extensions_mut().insert(Arc::clone(&charge));
        // What is wrong with the header is told by the call itself.
        let patience = grpc_timeout(request.headers()).ok().flatten().unwrap_or(Duration::MAX);
        let end = tokio::time::sleep_until(arrived + patience.min(self.admission.limits.arrival));
        let of_body = Arc::clone(&charge);
        let answer = self.inner.call(request.map(|body| Body::new(Counted { body, end, charge: of_body, refusal })));
        Box::pin(
            async move { Ok(answer.await?.map(|body| Body::new(Holding { body, _charge: charge, _stream: stream }))) },
        )
    }
}

/// How a call that is not let in is told so.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    id: CallId,
    view: LedgerView,
}

impl Refusal {
    fn status(self, error: &Error) -> Status {
        status::status(error, Some(self.id), self.view)
    }
}

pin_project! {
    /// A request's body, every byte of which is charged, until its deadline.
    struct Counted {
        #[pin]
        body: Incoming,
        #[pin]
        end: Sleep,
        charge: Arc<Charge>,
        refusal: Refusal,
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let Poll::Ready(frame) = this.body.poll_frame(context) else {
            ready!(this.end.poll(context));
            return Poll::Ready(Some(Err(this.refusal.status(&late()).into())));
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Err(error) = this.charge.take(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            return Poll::Ready(Some(Err(this.refusal.status(&error).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A response's body, which holds what was taken for its call.
    struct Holding {
        #[pin]
        body: Body,
        _charge: Arc<Charge>,
        _stream: Held,
    }
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
