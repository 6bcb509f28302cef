//! Reflection: what a listener serves, told to tools, in the version that is current and in the one that older tools ask for.
//!
//! The descriptors are taken apart when somebody asks first, once for all workers: most servers are asked by nobody, and each
//! of their workers would hold them.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server;
use tonic_reflection::pb::{v1::server_reflection_server as v1, v1alpha::server_reflection_server as v1alpha};
use tonic_reflection::server::{Builder, Error};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::until_drain::UntilDrain;
use crate::edge::Drain;
use crate::proto::{self, admin_service_server, completion_service_server};

/// What tools are told of the listeners. Clones share what was made of the descriptors.
#[derive(Clone, Debug)]
pub struct Reflections {
    /// Of that for callers.
    pub(super) public: Reflection,
    /// Of that for operators.
    pub(super) admin: Reflection,
}

impl Default for Reflections {
    fn default() -> Self {
        Self {
            public: Reflection::of(completion_service_server::SERVICE_NAME),
            admin: Reflection::of(admin_service_server::SERVICE_NAME),
        }
    }
}

/// What tools are told of one listener: the service of the contract that it serves, and not those that another one does.
#[derive(Clone, Debug)]
pub(super) struct Reflection {
    current: Told<Current>,
    older: Told<Older>,
}

impl Reflection {
    fn of(service: &'static str) -> Self {
        Self { current: Told::of(service), older: Told::of(service) }
    }

    /// The routes with reflection.
    pub(super) fn added_to(&self, routes: Routes, drain: &Drain) -> Routes {
        routes
            .add_service(UntilDrain::new(self.current.clone(), drain.clone()))
            .add_service(UntilDrain::new(self.older.clone(), drain.clone()))
    }
}

type Answers = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A version of the protocol of reflection.
trait Version: Clone + fmt::Debug {
    const NAME: &'static str;

    fn build(builder: Builder<'_>) -> Result<Answers, Error>;
}

#[derive(Clone, Debug)]
struct Current;

impl Version for Current {
    const NAME: &'static str = v1::SERVICE_NAME;

    fn build(builder: Builder<'_>) -> Result<Answers, Error> {
        builder.build_v1().map(BoxCloneSyncService::new)
    }
}

#[derive(Clone, Debug)]
struct Older;

impl Version for Older {
    const NAME: &'static str = v1alpha::SERVICE_NAME;

    fn build(builder: Builder<'_>) -> Result<Answers, Error> {
        builder.build_v1alpha().map(BoxCloneSyncService::new)
    }
}

/// What is told of `service` in one version, made when it is asked for first.
#[derive(Clone)]
struct Told<V> {
    service: &'static str,
    made: Arc<OnceLock<Option<Answers>>>,
    version: PhantomData<V>,
}

impl<V: Version> Told<V> {
    fn of(service: &'static str) -> Self {
        Self { service, made: Arc::default(), version: PhantomData }
    }

    fn make(service: &str) -> Option<Answers> {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(service)
            .with_service_name(health_server::SERVICE_NAME)
            .with_service_name(V::NAME);
        let told = |error: &Error| tracing::error!(%error, "the contract's descriptors cannot be read");
        V::build(builder).inspect_err(told).ok()
    }
}

impl<V: Version> fmt::Debug for Told<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<V: Version> NamedService for Told<V> {
    const NAME: &'static str = V::NAME;
}

impl<V: Version> Service<Request<Body>> for Told<V> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.made.get_or_init(|| Self::make(self.service)) {
            Some(answers) => Box::pin(answers.clone().oneshot(request)),
            None => {
                let status = Status::new(Code::Unimplemented, "the contract's descriptors cannot be read");
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
