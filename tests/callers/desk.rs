//! A server with callers, and clients that show their keys.

use completiond::callers::KeyHash;
use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::completion_service_client::CompletionServiceClient;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::stage::{Stage, tcp};

/// Shows a key with each call.
#[derive(Clone, Debug)]
pub(crate) struct Showing(Option<String>);

impl Interceptor for Showing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            let value: MetadataValue<_> = format!("Bearer {key}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(crate) type Client = CompletionServiceClient<InterceptedService<Channel, Showing>>;

/// The key of the caller of this name.
pub(crate) fn key(name: &str) -> String {
    format!("the-key-of-{name}")
}

/// The header that shows it.
pub(crate) fn shown(name: &str) -> String {
    format!("Bearer {}", key(name))
}

/// An entry of `callers`, with more keys of its own.
pub(crate) fn entry(name: &str, more: &str) -> String {
    format!("  - {{ name: {name}, keys: [\"{}\"]{more} }}\n", KeyHash::of(&key(name)))
}

/// `callers` with these entries, each a name and more keys of its own.
pub(crate) fn callers(entries: &[(&str, &str)]) -> String {
    let entries: String = entries.iter().map(|(name, more)| entry(name, more)).collect();
    format!("callers:\n{entries}")
}

/// A client that shows this key.
pub(crate) fn client(stage: &Stage, key: Option<String>) -> Client {
    CompletionServiceClient::with_interceptor(channel(stage.address()), Showing(key))
}

/// The client of the caller of this name.
pub(crate) fn of(stage: &Stage, name: &str) -> Client {
    client(stage, Some(key(name)))
}

/// An operator's client that shows this key.
pub(crate) fn operator(stage: &Stage, key: Option<String>) -> AdminServiceClient<InterceptedService<Channel, Showing>> {
    AdminServiceClient::with_interceptor(channel(tcp(&stage.running.admin)), Showing(key))
}

fn channel(mut address: std::net::SocketAddr) -> Channel {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Endpoint::try_from(format!("http://{address}")).unwrap().connect_lazy()
}
