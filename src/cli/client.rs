//! The server that a command talks to: one that runs elsewhere, or one inside this process. Both by gRPC.

use std::path::PathBuf;

use clap::Args;
use tonic::metadata::Ascii;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::settings::ConfigArgs;
use super::{Exit, distrust, tell, tell_problems, usage};
use crate::app::{self, Running};
use crate::proto::completion_service_client::CompletionServiceClient;
use crate::telemetry::Guard;

/// The largest answer that is taken, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// How long a connection may be silent before the other side is asked whether it is there, and how long that may take.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The flags of a server elsewhere.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServerArgs {
    /// The server: `host:port`, `https://host:port` or `unix:/path`; without it, one inside this process is asked
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_SERVER")]
    pub(super) server: Option<String>,
    /// The key to show to the server
    #[arg(long, value_name = "KEY", env = "COMPLETIOND_API_KEY", hide_env_values = true, requires = "server")]
    pub(super) api_key: Option<String>,
    /// A PEM file with the authorities to trust, in place of the system's; implies TLS
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(super) ca: Option<PathBuf>,
    /// A PEM file with this client's certificate; implies TLS
    #[arg(long, value_name = "FILE", requires_all = ["server", "key"])]
    pub(super) cert: Option<PathBuf>,
    /// A PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
}

/// What a server that is always elsewhere is shown, and what it is trusted by.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ProofArgs {
    /// The key to show to the server
    #[arg(long, value_name = "KEY", env = "COMPLETIOND_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// A PEM file with the authorities to trust, in place of the system's; implies TLS
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A PEM file with this client's certificate; implies TLS
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// A PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl ProofArgs {
    /// Connects as [`ServerArgs::dial`] does.
    ///
    /// # Errors
    /// The server is not reachable; it was told.
    pub(super) async fn dial(
        &self,
        address: &str,
        doubt: &str,
    ) -> Result<(Channel, Option<MetadataValue<Ascii>>), Exit> {
        let Self { api_key, ca, cert, key } = self.clone();
        ServerArgs { server: None, api_key, ca, cert, key }.dial(address, doubt).await
    }
}

/// A connection, and what keeps its other end alive.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: CompletionServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    _inside: Option<(Running, Guard)>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The server is not reachable, or the configuration of one inside this process is wrong; it was told.
    pub(super) async fn open(server: &ServerArgs, config: &ConfigArgs) -> Result<Self, Exit> {
        match &server.server {
            Some(address) => {
                let (channel, authorization) = server.dial(address, "is this where it listens?").await?;
                Ok(Self { client: client(channel), authorization, _inside: None })
            }
            None => inside(config).await,
        }
    }

    /// `message` as a request with the caller's key.
    pub(super) fn request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

/// Whether an address says all that it must. The port of a scheme is guessed only where the scheme was written: a key that
/// goes to another port than was meant is told to whoever listens there.
fn leads_somewhere(uri: &http::Uri, has_scheme: bool) -> bool {
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else { return false };
    let port_is_there = authority.port_u16().is_some();
    let is_only_a_name = authority.as_str() == authority.host();
    matches!(uri.scheme_str(), Some("http" | "https")) && (port_is_there || has_scheme && is_only_a_name)
}

impl ServerArgs {
    /// Connects to `address`: the channel, and the caller's key as a header. `doubt` is asked when nobody answers.
    ///
    /// # Errors
    /// The server is not reachable; it was told.
    pub(super) async fn dial(
        &self,
        address: &str,
        doubt: &str,
    ) -> Result<(Channel, Option<MetadataValue<Ascii>>), Exit> {
        let endpoint = self.endpoint(address).unwrap_or_else(|error| usage(&format!("--server {address}: {error}")));
        let authorization = self.api_key.as_ref().map(|key| {
            let value = format!("Bearer {}", key.trim()).parse::<MetadataValue<Ascii>>();
            let mut value = value.unwrap_or_else(|_| usage("--api-key has characters that no header can carry"));
            value.set_sensitive(true);
            value
        });
        let channel = endpoint.connect().await.map_err(|error| {
            tell(format_args!("{address} is not reachable: {}", root_cause(&error)));
            match distrust::advice(&error) {
                Some(advice) => tell(advice),
                None => tell(format_args!("is the server running, and {doubt}")),
            }
            Exit::Unreachable
        })?;
        Ok((channel, authorization))
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, String> {
        let wants_tls = self.ca.is_some() || self.cert.is_some() || address.starts_with("https://");
        let has_scheme = address.contains("://") || address.starts_with("unix:");
        let uri = match (has_scheme, wants_tls) {
            (true, _) => address.to_owned(),
            (false, true) => format!("https://{address}"),
            (false, false) => format!("http://{address}"),
        };
        let no_address = || "is no address; write `host:port`".to_owned();
        let endpoint = Endpoint::from_shared(uri).map_err(|_| no_address())?;
        if !address.starts_with("unix:") && !leads_somewhere(endpoint.uri(), has_scheme) {
            return Err(no_address());
        }
        let endpoint = endpoint.connect_timeout(std::time::Duration::from_secs(5));
        // A server that is gone without a word is noticed, however long an answer may take.
        let endpoint = endpoint.http2_keep_alive_interval(SILENCE).keep_alive_timeout(SILENCE);
        if !wants_tls {
            return Ok(endpoint);
        }
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        endpoint.tls_config(tls).map_err(|error| root_cause(&error))
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A server inside this process, on a port that nobody else knows, so that a command and a client take the same way.
async fn inside(config: &ConfigArgs) -> Result<Connection, Exit> {
    let failed = |error: &dyn std::error::Error| {
        tell(root_cause(error));
        Exit::Failed
    };
    let mut config = config.load_private().map_err(tell_problems)?.config;
    config.workers = std::num::NonZeroUsize::MIN;
    let guard = Guard::start(crate::config::process_variable).map_err(|error| failed(&error))?;
    let running = app::start(&config, guard.instruments()).await.map_err(|error| failed(&error))?;
    let address = running.public.to_string();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| failed(&error))?;
    let channel = endpoint.connect().await.map_err(|error| failed(&error))?;
    let client = client(channel);
    Ok(Connection { client, authorization: None, _inside: Some((running, guard)) })
}

fn client(channel: Channel) -> CompletionServiceClient<Channel> {
    CompletionServiceClient::new(channel)
        .max_decoding_message_size(MAX_ANSWER_BYTES)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
}

/// The innermost of an error's causes, which is the one that says something.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
