//! What each listener serves: the services of one worker, behind the admission.

use std::sync::Arc;
use std::time::Duration;

use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::util::BoxCloneSyncService;

use super::admission::{Admission, Admitted, Limits};
use super::complete_status::CompleteStatus;
use super::convert::{LedgerView, RequestRules};
use super::service::Completions;
use super::watched::Watch;
use crate::edge::worker::Load;
use crate::edge::Drain;
use crate::pipeline::Pipeline;
use crate::route::Tables;
use crate::proto;
use crate::proto::completion_service_server::CompletionServiceServer;

/// A listener's service.
pub type Served = BoxCloneSyncService<
    http::Request<hyper::body::Incoming>,
    http::Response<tonic::body::Body>,
    std::convert::Infallible,
>;

/// What all workers share at the edge.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The names that callers may ask for.
    pub tables: Tables,
    /// What a request may hold.
    pub rules: Arc<RequestRules>,
    /// The bounds on what callers may send.
    pub limits: Limits,
    /// The bytes in flight.
    pub admission: Admission,
    /// Whether callers see which endpoints were tried.
    pub view: LedgerView,
    /// How long a client may take nothing.
    pub client_stall: Duration,
    /// The end.
    pub drain: Drain,
    /// What health checks are told.
    pub health: HealthReporter,
}

/// A descriptor set that reflection cannot read: a defect of the build.
#[derive(Debug, thiserror::Error)]
#[error("the contract's descriptors cannot be served")]
pub struct ReflectionError(#[source] tonic_reflection::server::Error);

impl Faces {
    /// What callers reach: completions, health and reflection.
    ///
    /// # Errors
    /// [`ReflectionError`] when the descriptors are unreadable.
    pub fn public(&self, pipeline: Pipeline, watch: Watch, load: &Load) -> Result<Served, ReflectionError> {
        let completions = CompletionServiceServer::new(Completions {
            pipeline,
            tables: self.tables.clone(),
            rules: Arc::clone(&self.rules),
            view: self.view,
            watch,
            drain: self.drain.clone(),
        })
        .max_decoding_message_size(self.limits.max_request_bytes)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
        let routes = Routes::new(completions).add_service(self.health());
        Ok(self.serve(reflected(routes)?, load))
    }

    /// What operators reach: health and reflection; administration is to come.
    ///
    /// # Errors
    /// [`ReflectionError`] when the descriptors are unreadable.
    pub fn admin(&self, load: &Load) -> Result<Served, ReflectionError> {
        Ok(self.serve(reflected(Routes::new(self.health()))?, load))
    }

    /// What probes reach: health, which tells no secret and asks for no key.
    pub fn ops(&self, load: &Load) -> Served {
        self.serve(Routes::new(self.health()), load)
    }

    fn health(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.health.clone()))
    }

    fn serve(&self, routes: Routes, load: &Load) -> Served {
        let routes = CompleteStatus::new(routes.prepare());
        BoxCloneSyncService::new(Admitted::new(routes, self.admission.clone(), load.clone()))
    }
}

/// The routes with reflection, in the version that is current and in the one that older tools ask for.
fn reflected(routes: Routes) -> Result<Routes, ReflectionError> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let current = builder().build_v1().map_err(ReflectionError)?;
    let older = builder().build_v1alpha().map_err(ReflectionError)?;
    Ok(routes.add_service(current).add_service(older))
}
