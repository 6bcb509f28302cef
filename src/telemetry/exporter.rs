//! How an exporter reaches its collector: over gRPC or HTTP, with TLS where the address says so.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::ConfigBuilderExt;
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig, WithTonicConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Handle;

use super::Error;
use super::variables::Destination;

/// The most that is read of a collector's answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// `builder` on its way to `to`, over gRPC. Headers, timeout and compression are read from the variables by itself.
pub(super) fn by_grpc<B: WithTonicConfig + WithExportConfig>(builder: B, to: &Destination) -> Result<B, Error> {
    let builder = match &to.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    };
    if !to.endpoint.as_ref().is_some_and(|address| address.starts_with("https://")) {
        return Ok(builder);
    }
    Ok(builder.with_tls_config(match &to.certificate {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(file)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    }))
}

/// The same over HTTP. Within the runtime that sends.
pub(super) fn by_http<B: WithHttpConfig + WithExportConfig>(builder: B, to: &Destination) -> Result<B, Error> {
    let builder = match &to.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    };
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust(to.certificate.as_deref())?)
        // Headers that may hold a key must not follow a redirect to somewhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::Client(error.into()))?;
    Ok(builder
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_http_client(Posting { client, runtime: Handle::current() }))
}

fn trust(certificate: Option<&str>) -> Result<rustls::ClientConfig, Error> {
    let failed = |error: rustls::Error| Error::Client(error.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let mut roots = rustls::RootCertStore::empty();
    let Some(file) = certificate else {
        // A machine without certificates fails where TLS is used, and says so there.
        let builder = builder.clone().with_native_roots().unwrap_or_else(|_| builder.with_root_certificates(roots));
        return Ok(builder.with_no_client_auth());
    };
    for certificate in CertificateDer::pem_slice_iter(&std::fs::read(file)?) {
        roots.add(certificate.map_err(|error| Error::Client(error.into()))?).map_err(failed)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Sends on a runtime of its own: exporters are polled by threads that have none.
#[derive(Debug)]
struct Posting {
    client: reqwest::Client,
    runtime: Handle,
}

#[tonic::async_trait]
impl HttpClient for Posting {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
        let sending = self.client.execute(request);
        let answered = self.runtime.spawn(async move {
            let answer = sending.await.map_err(reqwest::Error::without_url)?;
            let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|_| ResponseBodyTooLarge::new())?;
            Ok(Response::from_parts(head, body.to_bytes()))
        });
        answered.await?
    }
}
