//! What each listener serves: the services of one worker, behind the admission.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};
use uuid::Uuid;

use super::admin::Administration;
use super::admission::{Admission, Limits};
use super::admitted::Admitted;
use super::calls::Completions;
use super::complete_status::{CompleteStatus, CompleteStatusLayer};
use super::convert::{LedgerView, RequestRules};
use super::door::Door;
use super::foremost::Foremost;
use super::reflection::Reflections;
use super::scraped::Scraped;
use super::streaming::Streaming;
use super::until_drain::UntilDrain;
use super::watched::Watch;
use crate::callers::Callers;
use crate::count::Count;
use crate::domain::CallId;
use crate::edge::http::{Apart, Beside, Origins, PlainStream};
use crate::edge::worker::Load;
use crate::edge::{Drain, Reload};
use crate::pipeline::{Pipeline, Ready};
use crate::pool::RetryBudget;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::completion_service_server::CompletionServiceServer;
use crate::route::{Router, Tables};
use crate::store::Books;
use crate::telemetry::{Metrics, Tracer};

/// The question after a service's health: room is made for what a message says it has, before it has come.
const HEALTH_MESSAGE_BYTES: usize = 4 * 1024;

/// A listener's service.
pub type Served = BoxCloneSyncService<http::Request<Incoming>, http::Response<Body>, std::convert::Infallible>;

/// What all workers share at the edge.
#[derive(Clone, Debug)]
pub struct Faces {
    /// Who may call.
    pub roster: Callers,
    /// Whether operators come from this machine alone: nobody else reaches their listener.
    pub operators_are_near: bool,
    /// The names that callers may ask for.
    pub tables: Tables,
    /// What a request may hold.
    pub rules: Arc<RequestRules>,
    /// The bounds on what callers may send.
    pub limits: Limits,
    /// The pages that may call.
    pub origins: Origins,
    /// The calls and bytes that callers have in flight.
    pub admission: Admission,
    /// What is left for second attempts.
    pub retry_budget: RetryBudget,
    /// The connections from callers.
    pub callers: Count,
    /// The connections to providers.
    pub upstreams: Count,
    /// Reads the configuration again.
    pub reload: Arc<dyn Reload>,
    /// Whether callers see which endpoints were tried.
    pub view: LedgerView,
    /// How long a client may take nothing.
    pub client_stall: Duration,
    /// The end, for callers.
    pub drain: Drain,
    /// The end, for operators and probes: they see the callers' last calls out.
    pub backstage: Drain,
    /// What makes spans.
    pub tracer: Tracer,
    /// What is counted.
    pub metrics: Metrics,
    /// What is kept about calls.
    pub books: Books,
    /// The answers that are there already.
    pub ready: Ready,
    /// What health checks are told.
    pub health: HealthReporter,
    /// What tools are told.
    pub reflections: Reflections,
}

impl Faces {
    /// What callers reach: completions, health and reflection by gRPC and gRPC-Web, and completions by plain HTTP.
    pub fn public(&self, pipeline: Pipeline, router: Router, watch: Watch, load: &Load) -> Served {
        let completions = self.completions(pipeline, router, watch);
        let streaming = PlainStream::new(Streaming::new(completions.clone(), self.limits.max_request_bytes));
        let completions = CompletionServiceServer::new(completions)
            .max_decoding_message_size(self.limits.max_request_bytes)
            .max_encoding_message_size(usize::MAX)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Zstd);
        let others = self.reflections.public.added_to(Routes::new(self.health(&self.drain)), &self.drain);
        let services = Foremost::new(completions, others);
        let way_in = (Door::Callers(self.roster.clone()), self.admission.clone());
        let grpc = self.admitted(with_statuses(services), way_in.clone(), load);
        let plain = self.admitted(streaming, way_in, load);
        BoxCloneSyncService::new(Beside::new(
            (grpc, plain),
            self.origins.clone(),
            self.metrics.clone(),
            self.admission.unread(),
        ))
    }

    fn completions(&self, pipeline: Pipeline, router: Router, watch: Watch) -> Completions {
        Completions {
            pipeline,
            router,
            tables: self.tables.clone(),
            rules: Arc::clone(&self.rules),
            view: self.view,
            watch,
            drain: self.drain.clone(),
            tracer: self.tracer.clone(),
            metrics: self.metrics.clone(),
            books: self.books.clone(),
            replays: self.ready.replays.clone(),
            client_stall: self.client_stall,
            total: self.limits.arrival,
        }
    }

    /// What operators reach: administration, health and reflection.
    pub fn admin(&self, load: &Load) -> Served {
        let administration = AdminServiceServer::new(Administration {
            tables: self.tables.clone(),
            retry_budget: self.retry_budget.clone(),
            admission: self.admission.clone(),
            callers: self.callers.clone(),
            upstreams: self.upstreams.clone(),
            reload: Arc::clone(&self.reload),
            view: self.view,
            tracer: self.tracer.clone(),
            metrics: self.metrics.clone(),
            books: self.books.clone(),
            reuse: self.ready.reuse.clone(),
        })
        .max_encoding_message_size(usize::MAX);
        let routes = Routes::new(administration).add_service(self.health(&self.backstage));
        let routes = self.reflections.admin.added_to(routes, &self.backstage);
        let door = match self.operators_are_near {
            true => Door::Anyone,
            false => Door::Operators(self.roster.clone()),
        };
        let admission = self.apart();
        let unread = admission.unread();
        let routes = self.admitted(with_statuses(routes.prepare()), (door, admission), load);
        BoxCloneSyncService::new(Apart::new(routes, self.metrics.clone(), unread))
    }

    /// What probes reach: health and metrics, which tell no secret and ask for no key.
    pub fn ops(&self, load: &Load) -> Served {
        let routes = with_statuses(Routes::new(self.health(&self.backstage)).prepare());
        let scraped = Scraped::new(routes, self.metrics.clone());
        served(self.admitted(scraped, (Door::Anyone, self.apart()), load))
    }

    fn health(&self, drain: &Drain) -> UntilDrain<HealthServer<HealthService>> {
        let health = HealthServer::new(HealthService::from_health_reporter(self.health.clone()))
            .max_decoding_message_size(HEALTH_MESSAGE_BYTES);
        UntilDrain::new(health, drain.clone())
    }

    /// What callers have in flight keeps neither operators nor probes out.
    fn apart(&self) -> Admission {
        Admission::new(self.limits)
    }

    fn admitted<S>(&self, inner: S, way_in: (Door, Admission), load: &Load) -> Admitted<S> {
        Admitted::new(inner, way_in, load.clone(), (self.view, self.metrics.clone()))
    }
}

/// A service to be served at a listener by itself.
fn served<S>(inner: S) -> Served
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    BoxCloneSyncService::new(inner.map_request(|request: http::Request<Incoming>| request.map(Body::new)))
}

/// Services whose every failure says what a caller has to know.
fn with_statuses<S>(services: S) -> CompleteStatus<S> {
    CompleteStatusLayer::new(Arc::new(|| CallId::new(Uuid::now_v7()))).layer(services)
}
