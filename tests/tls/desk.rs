//! A server behind TLS, and clients that speak it: one that is generated from the contract, and one that shows what each end
//! of a handshake is told.

use std::net::SocketAddr;
use std::sync::Arc;

use completiond::app::Running;
use completiond::proto::completion_service_client::CompletionServiceClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::pki::{Authority, Folder, Pair};
use crate::stage::{Stage, within};

pub(crate) type Client = CompletionServiceClient<Channel>;

/// What a client of HTTP/2 says first: the preface, and settings that it leaves as they are.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A server behind TLS, with the authority that has signed its certificate and those of its clients.
pub(crate) struct Desk {
    pub(crate) stage: Stage,
    pub(crate) folder: Folder,
    pub(crate) authority: Authority,
}

impl Desk {
    /// It asks clients for no certificate.
    pub(crate) async fn plain(settings: &str) -> Self {
        Self::with(|folder| folder.section("tls", "") + settings).await
    }

    /// It asks each client for a certificate.
    pub(crate) async fn asking(settings: &str) -> Self {
        Self::with(|folder| folder.asking("tls", "") + settings).await
    }

    pub(crate) async fn with(settings: impl FnOnce(&Folder) -> String) -> Self {
        let authority = Authority::new();
        let folder = Folder::with(&authority.server(), &authority);
        let stage = Stage::with(&settings(&folder)).await;
        Self { stage, folder, authority }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stage.address()
    }

    /// A client that trusts the authority and shows `identity`.
    pub(crate) fn client(&self, identity: Option<&Pair>) -> Client {
        Client::new(self.channel(self.address(), identity))
    }

    pub(crate) fn channel(&self, address: SocketAddr, identity: Option<&Pair>) -> Channel {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem()));
        if let Some(pair) = identity {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
        }
        Endpoint::try_from(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect_lazy()
    }

    /// What a client of this kind is told by the server.
    pub(crate) async fn tells(&self, client: Tls<'_>) -> String {
        tells(self.address(), &client.config(&self.authority)).await
    }

    /// The serial number of the certificate that a new connection is shown.
    pub(crate) async fn serial(&self, identity: Option<&Pair>) -> u64 {
        let config = Tls { identity, ..Tls::default() }.config(&self.authority);
        let stream = within("a handshake", connect(self.address(), &config)).await.unwrap();
        serial(stream.get_ref().1.peer_certificates().unwrap().first().unwrap())
    }
}

/// How often `reason` was counted at the listener for callers.
pub(crate) async fn refused(running: &Running, reason: &str) -> u64 {
    number(
        running,
        &format!(
            "completiond_connections_refused_total{{completiond_listener=\"public\",completiond_reason=\"{reason}\""
        ),
    )
    .await
}

/// The connections that callers have open.
pub(crate) async fn open(running: &Running) -> u64 {
    number(running, "completiond_connections{completiond_listener=\"public\"").await
}

async fn number(running: &Running, series: &str) -> u64 {
    format!("{:.0}", figure(running, series).await).parse().unwrap()
}

/// What the metrics say of this series.
pub(crate) async fn figure(running: &Running, series: &str) -> f64 {
    let mut socket = TcpStream::connect(crate::stage::tcp(&running.ops)).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    within("metrics", socket.read_to_string(&mut text)).await.unwrap();
    let line =
        text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series} is not in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A client of TLS and nothing above it.
#[derive(Clone, Copy)]
pub(crate) struct Tls<'a> {
    pub(crate) identity: Option<&'a Pair>,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'a [&'static str],
}

impl Default for Tls<'_> {
    fn default() -> Self {
        Self { identity: None, versions: rustls::ALL_VERSIONS, alpn: &["h2"] }
    }
}

impl Tls<'_> {
    pub(crate) fn config(&self, trusted: &Authority) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

pub(crate) async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// `served`, or what the client's end of the connection says.
pub(crate) async fn tells(address: SocketAddr, config: &Arc<ClientConfig>) -> String {
    let told = async {
        let mut stream = connect(address, config).await?;
        // With TLS 1.3 a client is done before the server has looked at its certificate.
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok("served".to_owned())
    };
    within("an end of the handshake", told).await.unwrap_or_else(|error| error.to_string())
}

/// The serial number of a certificate that this crate has made: one of less than nine bytes.
fn serial(certificate: &CertificateDer<'_>) -> u64 {
    // Certificate, its body, the version (5 bytes), and an integer with its length.
    let der = certificate.as_ref();
    let skip = |at: usize| at + 2 + usize::from(der[at + 1].saturating_sub(0x80));
    let at = skip(skip(0)) + 5;
    assert_eq!(der[at], 0x02, "an integer");
    let length = usize::from(der[at + 1]);
    der[at + 2..at + 2 + length].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Waits until `reason` was counted as often.
pub(crate) async fn eventually_refused(running: &Running, reason: &str, times: u64) {
    let counting = async {
        while refused(running, reason).await < times {
            tokio::task::yield_now().await;
        }
    };
    within("it is counted", counting).await;
    assert_eq!(refused(running, reason).await, times, "{reason}");
}
