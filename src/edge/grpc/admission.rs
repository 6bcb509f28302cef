//! Who is let in: decided on the headers by the calls that are in flight, and while a body arrives by the bytes.
//!
//! What is taken for a call is given back when its response has ended or was dropped.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use super::door::{Admit, Door};
use super::refusal::Refusal;
use super::timeout::grpc_timeout;
use super::unread::Rest;
use crate::callers::Caller;
use crate::count::Held;
use crate::domain::{CallId, Error, Exhausted, Reason};
use crate::edge::worker::Load;
use crate::proto::completion_service_server::SERVICE_NAME;
use crate::telemetry::Metrics;

/// Stands for no deadline.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The bounds on what callers may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One request, in bytes.
    pub max_request_bytes: usize,
    /// All requests that are being served, in bytes.
    pub max_bytes_in_flight: u64,
    /// All calls that are being served, each until its response has ended.
    pub max_in_flight: u64,
    /// How long a request may take to arrive, where its caller's deadline is not earlier.
    pub arrival: Duration,
}

/// The calls that are being served, and the bytes of their requests. Clones share them.
#[derive(Clone, Debug)]
pub struct Admission {
    calls: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    limits: Limits,
}

/// When a call's headers came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived(pub(super) Instant);

impl Admission {
    /// Nothing is in flight.
    pub fn new(limits: Limits) -> Self {
        Self { calls: Arc::default(), bytes: Arc::default(), limits }
    }

    /// The calls that are in flight. Health checks, reflection and administration are none of them.
    pub fn calls_in_flight(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The bytes that are in flight.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets a call of `caller` to the method at `path` in.
    fn open(&self, path: &str, caller: &Arc<Caller>) -> Result<Arc<Charge>, Error> {
        let charge = Charge::nothing(self, caller);
        if is_counted(path) {
            // The calls of a batch take places of their caller, not the batch itself: with room for one, one runs.
            charge.take_place((!is_batch(path)).then_some(caller))?;
        }
        charge.take(0)?;
        Ok(Arc::new(charge))
    }
}

/// Whether calls to `path` are bounded: an operator and a probe shall get through to a server that is full.
fn is_counted(path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME));
    method.is_some_and(|method| method.starts_with('/'))
}

/// Whether calls to `path` are many in one.
fn is_batch(path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME));
    matches!(method, Some("/BatchComplete" | "/StreamBatchComplete"))
}

/// Whether requests to `path` have no end of their own: they arrive as long as their caller sends them.
fn is_endless(path: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME)) == Some("/StreamBatchComplete")
}

/// What one call has in flight, given back at its end.
#[derive(Debug)]
pub(super) struct Charge {
    admission: Admission,
    caller: Arc<Caller>,
    /// Among the calls of its caller.
    of_caller: Mutex<Option<Held>>,
    /// Who makes something for the call, though its caller may take no more of it.
    makers: AtomicUsize,
    /// Nobody takes the rest of it: what was taken is given back when nothing is made any more.
    is_left: AtomicBool,
    /// One, or none.
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl Charge {
    fn nothing(admission: &Admission, caller: &Arc<Caller>) -> Self {
        Self {
            admission: admission.clone(),
            caller: Arc::clone(caller),
            of_caller: Mutex::default(),
            makers: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes a place among the calls in flight, if there is one: first of its caller's, where that is counted, then of all.
    fn take_place(&self, of_caller: Option<&Caller>) -> Result<(), Error> {
        let of_caller = match of_caller {
            Some(caller) => Some(caller.begin().ok_or_else(|| too_many_of(caller))?),
            None => None,
        };
        let most = self.admission.limits.max_in_flight;
        let one_more = |calls: u64| (calls < most).then_some(calls + 1);
        match self.admission.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => {
                self.calls.store(1, Ordering::Relaxed);
                *self.of_caller() = of_caller;
                Ok(())
            }
            Err(_) => Err(overloaded("too many calls are in flight on this server")),
        }
    }

    /// Takes `bytes` more, unless there would be too many.
    fn take(&self, bytes: u64) -> Result<(), Error> {
        let before = self.admission.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.admission.limits.max_bytes_in_flight {
            Err(overloaded("too many bytes of requests are in flight on this server"))
        } else {
            Ok(())
        }
    }

    /// Takes what is missing to `bytes`: a compressed request is larger than what came.
    pub(super) fn raise_to(&self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.take(bytes.saturating_sub(self.bytes.load(Ordering::Relaxed)))
    }

    /// One more call of the same caller, with a place of its own.
    ///
    /// # Errors
    /// `OVERLOADED` when there is none.
    pub(super) fn beside(&self) -> Result<Arc<Self>, Error> {
        let charge = Self::nothing(&self.admission, &self.caller);
        charge.take_place(Some(&self.caller))?;
        Ok(Arc::new(charge))
    }

    fn of_caller(&self) -> MutexGuard<'_, Option<Held>> {
        self.of_caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything has arrived that is not charged elsewhere.
    fn has_bytes(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    /// What has arrived so far is charged elsewhere from now on.
    pub(super) fn give_back_bytes(&self) {
        self.admission.bytes.fetch_sub(self.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Something is made for the call from now on.
    pub(super) fn making(&self) {
        self.makers.fetch_add(1, Ordering::SeqCst);
    }

    /// It is not any more.
    pub(super) fn made(&self) {
        if self.makers.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_left.load(Ordering::SeqCst) {
            self.give_back();
        }
    }

    /// The client takes no more of the response, which may not be gone for long: gives everything back as soon as nothing is
    /// made for it any more.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        if self.makers.load(Ordering::SeqCst) == 0 {
            self.give_back();
        }
    }

    /// Gives everything back. Only the first time counts.
    fn give_back(&self) {
        self.admission.calls.fetch_sub(self.calls.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        *self.of_caller() = None;
        self.give_back_bytes();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn overloaded(why: &'static str) -> Error {
    Error::new(Reason::Overloaded, why).with(|details| details.retry_after = Some(Duration::from_secs(1)))
}

fn too_many_of(caller: &Caller) -> Error {
    let most = caller.allowance.in_flight.unwrap_or_default();
    let message = format!("this caller may have {most} calls served at a time, and has");
    Error::new(Reason::CallerLimitExceeded, message).with(|details| {
        details.retry_after = Some(Duration::from_secs(1));
        let rule = format!("at most {most} at a time; one that ends makes room");
        details.exhausted = Some(Exhausted { subject: format!("caller:{} in_flight", caller.name), rule: rule.into() });
    })
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the deadline passed before the request had arrived")
}

/// A service behind the admission.
#[derive(Clone, Debug)]
pub(super) struct Admitted<S> {
    inner: S,
    door: Door,
    admission: Admission,
    load: Load,
    view: LedgerView,
    /// Counts whom it does not let in.
    metrics: Metrics,
}

impl<S> Admitted<S> {
    /// `inner` behind `door` and `admission`.
    pub(super) fn new(
        inner: S,
        (door, admission): (Door, Admission),
        load: Load,
        (view, metrics): (LedgerView, Metrics),
    ) -> Self {
        Self { inner, door, admission, load, view, metrics }
    }

    /// Lets `caller` in, if there is room for its call.
    fn open(&self, path: &str, caller: Result<Arc<Caller>, Error>) -> Result<(Arc<Caller>, Arc<Charge>), Error> {
        let caller = caller?;
        let charge = self.admission.open(path, &caller)?;
        Ok((caller, charge))
    }
}

/// What answers a request.
type Answering<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

impl<S> Admitted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    /// Answers a call of `caller`, or says why it is not let in.
    fn answer(
        &mut self,
        mut request: http::Request<Incoming>,
        caller: Result<Arc<Caller>, Error>,
        arrived: Instant,
    ) -> Answering<S::Error> {
        let id = CallId::new(Uuid::now_v7());
        let refusal = Refusal { id, view: self.view };
        let charge = match self.open(request.uri().path(), caller) {
            Ok((caller, charge)) => {
                request.extensions_mut().insert(caller);
                charge
            }
            Err(error) => {
                self.metrics.refused(error.reason);
                refusal.note(&error, request.uri().path());
                let rest = Rest::default();
                rest.read_out(request.into_body());
                return Box::pin(async move {
                    rest.is_read().await;
                    Ok(refusal.status(&error).into_http())
                });
            }
        };
        let stream = self.load.stream();
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(Arrived(arrived));
        request.extensions_mut().insert(Arc::clone(&charge));
        let rest = Rest::default();
        let request = self.counted(request, &charge, (refusal, &rest), arrived);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            rest.is_read().await;
            Ok(answer.map(|body| Body::new(Holding { body, _charge: charge, _stream: stream })))
        })
    }

    /// The request with a body that is charged, until its deadline.
    fn counted(
        &self,
        request: http::Request<Incoming>,
        charge: &Arc<Charge>,
        (refusal, rest): (Refusal, &Rest),
        arrived: Instant,
    ) -> http::Request<Body> {
        let patience = patience(request.headers());
        let most = self.admission.limits.arrival;
        let (end, each) = match is_endless(request.uri().path()) {
            true => (patience, Some(most)),
            false => (patience.min(most), None),
        };
        let end = tokio::time::sleep_until(arrived + end);
        let (charge, metrics, rest) = (Arc::clone(charge), self.metrics.clone(), rest.clone());
        request.map(|body| {
            Body::new(Counted { body: Some(body), end, each, unread: None, charge, refusal, metrics, rest })
        })
    }
}

/// How long the caller waits. What is wrong with the header is told by the call itself.
fn patience(headers: &http::HeaderMap) -> Duration {
    grpc_timeout(headers).ok().flatten().unwrap_or(FOREVER)
}

impl<S> Service<http::Request<Incoming>> for Admitted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        let admit = self.door.admit(&parts);
        let request = http::Request::from_parts(parts, body);
        let waiting = match admit {
            Admit::Now(caller) => return self.answer(request, caller, arrived),
            Admit::Later(waiting) => waiting,
        };
        // What was found ready goes with the call, and another one takes its place.
        let inner = self.inner.clone();
        let mut ready = Self { inner: std::mem::replace(&mut self.inner, inner), ..self.clone() };
        let patience = patience(request.headers());
        Box::pin(async move {
            let caller = waiting.settled(patience).await;
            ready.answer(request, caller, arrived).await
        })
    }
}

pin_project! {
    /// A request's body, every byte of which is charged, until its deadline.
    struct Counted {
        // Always there until it is dropped.
        body: Option<Incoming>,
        #[pin]
        end: Sleep,
        // How long each message may take to arrive, where they have no end.
        each: Option<Duration>,
        // Until when that is which has begun to arrive.
        #[pin]
        unread: Option<Sleep>,
        charge: Arc<Charge>,
        refusal: Refusal,
        metrics: Metrics,
        rest: Rest,
    }

    impl PinnedDrop for Counted {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(body) = this.body.take() {
                this.rest.read_out(body);
            }
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        // What was read is charged elsewhere: the next message has its own time.
        if !this.charge.has_bytes() {
            this.unread.set(None);
        }
        let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else {
            if let (None, Some(each), true) = (&*this.unread, *this.each, this.charge.has_bytes()) {
                this.unread.set(Some(tokio::time::sleep(each)));
            }
            let of_message = this.unread.as_pin_mut().map(|unread| unread.poll(context));
            if !of_message.is_some_and(|unread| unread.is_ready()) {
                ready!(this.end.poll(context));
            }
            return Poll::Ready(Some(Err(this.refusal.status(&late()).into())));
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Err(error) = this.charge.take(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            this.metrics.refused(error.reason);
            return Poll::Ready(Some(Err(this.refusal.status(&error).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
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
