//! The keys of an issuer of tokens, fetched over TLS by a server that is a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Request};

use crate::issuer::Issuer;
use crate::pki::{Authority, Pair};
use crate::process::Process;
use crate::stage::{prompt, within};

/// An address that speaks TLS, and leads to `to`.
async fn behind_tls(pair: &Pair, to: SocketAddr) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not trust the certificate goes away again.
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut behind = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut behind).await;
        }
    });
    address
}

async fn call(server: &Process, token: &str) -> Result<(), Code> {
    let mut request = Request::new(prompt("sim: tokens=2 first_event=0ms pace=0ms"));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    server.client().complete(request).await.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn keys_are_fetched_from_whom_the_systems_authorities_speak_for_and_from_nobody_else() {
    let (issuer, authority) = (Issuer::start("corp").await, Authority::new());
    let address = behind_tls(&authority.server(), issuer.address).await;
    let section = issuer
        .section()
        .replace(&format!("http://{}", issuer.address), &format!("https://localhost:{}", address.port()));
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.crt");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let start =
        |trusted: PathBuf| Process::set(|folder| folder.section("tls", "") + &section, &[("SSL_CERT_FILE", trusted)]);
    let server = start(trusted);
    let let_in = async { while call(&server, &issuer.token("alice")).await.is_err() {} };
    within("the keys are fetched", let_in).await;
    // It may be fetching them once more.
    drop(server);
    let asked = issuer.asked();
    std::fs::write(folder.path().join("others.crt"), Authority::new().pem()).unwrap();
    let stranger = start(folder.path().join("others.crt"));
    assert_eq!(call(&stranger, &issuer.token("alice")).await, Err(Code::Unavailable));
    assert_eq!(issuer.asked(), asked, "nobody was asked whose certificate is not trusted");
}
