//! What stands before a listener's services: on a request's headers it asks the door and the admission, and gives the call what
//! was taken for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::admission::{Admission, Charge, Entered};
use super::charged::{Counted, Holding};
use super::convert::LedgerView;
use super::door::{Admit, Door};
use super::kind::Kind;
use super::refusal::Refusal;
use super::rest::Rest;
use super::timeout::grpc_timeout;
use crate::callers::Caller;
use crate::domain::{CallId, Error};
use crate::edge::worker::Load;
use crate::telemetry::Metrics;

/// Stands for no deadline.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long a call for which no key is needed may take to arrive.
const HEALTH_ARRIVAL: Duration = Duration::from_secs(10);

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
    fn open(
        &self,
        kind: Kind,
        caller: Result<Arc<Caller>, Error>,
        connection: &http::Extensions,
    ) -> Result<(Arc<Caller>, Arc<Charge>), Error> {
        let caller = caller?;
        let charge = self.admission.open(kind, &caller, connection.get())?;
        Ok((caller, charge))
    }

    /// When a request of this kind must have arrived, and each of its messages, where it has no end.
    fn arrival(&self, kind: Kind, arrived: Instant, headers: &http::HeaderMap) -> (Sleep, Option<Duration>) {
        let patience = patience(headers);
        let most = self.admission.arrival();
        let (end, each) = match kind {
            Kind::StreamBatch => (patience, Some(most)),
            _ if kind.is_health() => (patience.min(HEALTH_ARRIVAL), None),
            _ => (patience.min(most), None),
        };
        (tokio::time::sleep_until(arrived + end), each)
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
        mut request: http::Request<Body>,
        caller: Result<Arc<Caller>, Error>,
        arrived: Instant,
    ) -> Answering<S::Error> {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        let refusal = Refusal { id, view: self.view };
        let kind = Kind::of(request.uri().path());
        let (caller, charge) = match self.open(kind, caller, request.extensions()) {
            Ok(opened) => opened,
            Err(error) => {
                self.metrics.refused(error.reason);
                refusal.note(&error, request.uri().path());
                let rest = self.admission.unread().rest();
                rest.read_out(request.into_body());
                return Box::pin(async move {
                    rest.is_read().await;
                    Ok(refusal.status(&error).into_http())
                });
            }
        };
        let stream = self.load.stream();
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(Entered { caller, arrived, charge: Arc::clone(&charge) });
        let rest = self.admission.unread().rest();
        let request = self.counted(request, kind, (&charge, refusal, &rest), arrived);
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
        request: http::Request<Body>,
        kind: Kind,
        (charge, refusal, rest): (&Arc<Charge>, Refusal, &Rest),
        arrived: Instant,
    ) -> http::Request<Body> {
        let (end, each) = self.arrival(kind, arrived, request.headers());
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

impl<S> Service<http::Request<Body>> for Admitted<S>
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

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
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
