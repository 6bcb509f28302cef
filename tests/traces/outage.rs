//! A collector that goes away, in each way in which one can, and comes back; and one that wants to know who speaks.

use std::sync::Arc;

use completiond::proto::CompleteRequest;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::receiver::{Mood, Received, Receiver};
use crate::server::Server;

const SETTINGS: &str = "providers: [{ id: up, preset: simulator }]";
const SIGNALS: [&str; 3] = ["traces", "logs", "metrics"];

fn asked() -> CompleteRequest {
    let prompt = "sim: tokens=3 first_event=0ms pace=0ms\nhello".to_owned();
    CompleteRequest { model: "up/simulator".to_owned(), prompt, ..CompleteRequest::default() }
}

async fn served(server: &Server) {
    server.client.clone().complete(asked()).await.unwrap();
}

fn has_all(got: &Received) -> bool {
    !got.spans().is_empty() && !got.records().is_empty() && !got.latest().is_empty()
}

#[tokio::test]
async fn a_collector_that_is_away_costs_its_data_and_one_line_when_it_goes_and_one_when_it_is_back() {
    for protocol in ["grpc", "http/protobuf"] {
        for mood in [Mood::Refuses, Mood::Silent] {
            let receiver = Receiver::start();
            receiver.is(mood);
            let endpoint = receiver.url();
            let variables = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
                ("OTEL_LOGS_EXPORTER", "otlp"),
            ];
            let mut server = Server::start(SETTINGS, &variables).await;
            for signal in SIGNALS {
                server.until_logged(&format!("{signal} cannot be exported"), || served(&server)).await;
            }
            // Each is tried again and fails again, of which nobody is told.
            let before = receiver.asked().len();
            while receiver.asked().len() < before + 6 {
                served(&server).await;
            }
            receiver.is(Mood::Takes);
            for signal in SIGNALS {
                server.until_logged(&format!("{signal} are exported again"), || served(&server)).await;
            }
            receiver.until("all signals", has_all).await;
            server.stop().await;
            let log = server.log();
            assert!(!log.contains("opentelemetry_sdk"), "what its crates say with each export is left out: {log}");
            for signal in SIGNALS {
                for words in ["cannot be exported", "are exported again"] {
                    let lines = log.matches(&format!("{signal} {words}")).count();
                    assert_eq!(lines, 1, "{protocol} {mood:?} {signal} {words}: {log}");
                }
            }
        }
    }
}

/// Who is trusted, and two that it vouches for, each as a certificate and a key.
struct Trusted {
    folder: tempfile::TempDir,
    root: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Trusted {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let made = || {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            (params.signed_by(&key, &root).unwrap(), key)
        };
        let ((server, server_key), (client, client_key)) = (made(), made());
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.pem", root.pem()), ("us.pem", client.pem()), ("us.key", client_key.serialize_pem())] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let server = (server.der().clone(), PrivateKeyDer::try_from(server_key.serialize_der()).unwrap());
        Self { folder, root: root.der().clone(), server }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Serves nobody whom it cannot name.
    fn config(&self) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let clients =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_by_a_file_and_is_told_who_speaks() {
    let trusted = Trusted::new();
    let (ca, certificate, key) = (trusted.file("ca.pem"), trusted.file("us.pem"), trusted.file("us.key"));
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::with_tls(trusted.config());
        let endpoint = format!("https://{}", receiver.address());
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue%20one"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ];
        let mut server = Server::start(SETTINGS, &variables).await;
        served(&server).await;
        receiver.until("all signals", has_all).await;
        server.stop().await;
        for asked in receiver.asked() {
            assert_eq!(asked.encoding, "gzip", "{asked:?}");
            assert_eq!(asked.headers["x-tenant"], "blue one", "{asked:?}");
        }

        // Without a name of its own it is not served, and goes on.
        let unnamed: Vec<(&str, &str)> = variables.into_iter().filter(|(name, _)| !name.contains("CLIENT")).collect();
        let mut server = Server::start(SETTINGS, &unnamed).await;
        server.until_logged("metrics cannot be exported", || served(&server)).await;
        server.stop().await;
    }
}
