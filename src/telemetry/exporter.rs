//! How an exporter reaches its collector: over gRPC or HTTP, with TLS where the address says so.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::ConfigBuilderExt;
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::metrics::Temporality;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::Handle;

use super::Error;
use super::reported::Reported;
use super::variables::{Destination, Protocol};

/// The most that is read of a collector's answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// Builds what `$builder` has begun on its way to `$to`: both ways have types of their own.
macro_rules! built {
    ($builder:expr, $to:expr) => {
        match $to.protocol {
            Protocol::Grpc => by_grpc($builder.with_tonic(), $to)?.build()?,
            Protocol::Http => by_http($builder.with_http(), $to)?.build()?,
        }
    };
}

/// What sends spans. Within the runtime that sends, as all of these.
pub(super) fn of_spans(to: &Destination) -> Result<Reported<SpanExporter>, Error> {
    Ok(Reported::new(built!(SpanExporter::builder(), to), to))
}

/// What sends log records.
pub(super) fn of_records(to: &Destination) -> Result<Reported<LogExporter>, Error> {
    Ok(Reported::new(built!(LogExporter::builder(), to), to))
}

/// What sends the points of metrics.
pub(super) fn of_points(to: &Destination, temporality: Temporality) -> Result<Reported<MetricExporter>, Error> {
    Ok(Reported::new(built!(MetricExporter::builder().with_temporality(temporality), to), to))
}

/// Where it goes and how long it may take.
fn on_its_way<B: WithExportConfig>(builder: B, to: &Destination) -> B {
    let builder = builder.with_timeout(to.timeout);
    match &to.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    }
}

/// Headers are read from the variables by the builder itself.
fn by_grpc<B: WithTonicConfig + WithExportConfig>(builder: B, to: &Destination) -> Result<B, Error> {
    let mut builder = on_its_way(builder, to);
    if let Some(compression) = to.compression {
        builder = builder.with_compression(compression);
    }
    if !to.endpoint.as_ref().is_some_and(|address| address.starts_with("https://")) {
        return Ok(builder);
    }
    let tls = match &to.certificate {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(builder.with_tls_config(match &to.identity {
        Some((certificate, key)) => tls.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => tls,
    }))
}

/// The same over HTTP.
fn by_http<B: WithHttpConfig + WithExportConfig>(builder: B, to: &Destination) -> Result<B, Error> {
    let mut builder = on_its_way(builder, to);
    if let Some(compression) = to.compression {
        builder = builder.with_compression(compression);
    }
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust(to)?)
        // Nobody may be waiting any more, and what is given up shall end.
        .timeout(to.timeout)
        // Headers that may hold a key must not follow a redirect to somewhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::Client(error.into()))?;
    Ok(builder
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_http_client(Posting { client, runtime: Handle::current() }))
}

fn read(file: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|source| Error::File { file: file.to_owned(), source })
}

fn trust(to: &Destination) -> Result<rustls::ClientConfig, Error> {
    let failed = |error: rustls::Error| Error::Client(error.into());
    let unread = |error: rustls::pki_types::pem::Error| Error::Client(error.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let mut roots = rustls::RootCertStore::empty();
    let builder = match &to.certificate {
        // A machine without certificates fails where TLS is used, and says so there.
        None => builder.clone().with_native_roots().unwrap_or_else(|_| builder.with_root_certificates(roots)),
        Some(file) => {
            for certificate in CertificateDer::pem_slice_iter(&read(file)?) {
                roots.add(certificate.map_err(unread)?).map_err(failed)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let Some((certificate, key)) = &to.identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(unread)?;
    builder.with_client_auth_cert(chain.map_err(unread)?, key).map_err(failed)
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
        let client = self.client.clone();
        let answered = self.runtime.spawn(async move {
            let answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
            let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|_| ResponseBodyTooLarge::new())?;
            Ok(Response::from_parts(head, body.to_bytes()))
        });
        answered.await?
    }
}
