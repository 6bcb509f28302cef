//! The three listeners, from outside: what each serves, where it may be bound, and what it refuses.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use completiond::app::{self, Running, StartError};
use completiond::edge::Bound;
use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::simulator::{Simulator, Upstream};
use completiond::telemetry::Guard;
use hyper_util::rt::TokioIo;
use stage::{Stage, configuration, eventually, parsed, prompt, tcp, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tonic::Code::{InvalidArgument, Ok as Fine, Unimplemented};
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn channel(bound: &Bound) -> Channel {
    match bound.clone() {
        Bound::Tcp(address) => Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap(),
        Bound::Unix(path) => {
            let connect = move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            };
            let endpoint = Endpoint::from_static("http://server");
            endpoint.connect_with_connector(tower::service_fn(connect)).await.unwrap()
        }
    }
}

/// A server that calls come to at `listen`.
async fn listening(upstream: &Upstream, listen: &str) -> Result<Running, StartError> {
    let text = configuration(&upstream.url(), "openai", "drain_delay: 0").replacen("127.0.0.1:0", listen, 1);
    app::start(&parsed(&text), Guard::start(|_| None).unwrap().tracer()).await
}

async fn upstream() -> Upstream {
    Upstream::start(Simulator::default()).await.unwrap()
}

#[tokio::test]
async fn every_listener_has_a_port_of_its_own_and_says_that_it_serves() {
    let stage = Stage::with("").await;
    let Running { public, admin, ops, .. } = &stage.running;
    assert!(tcp(public).port() != 0 && tcp(public) != tcp(admin) && tcp(admin) != tcp(ops));
    for bound in [public, admin, ops] {
        let mut health = HealthClient::new(channel(bound).await);
        for service in ["", "completiond.v1.CompletionService"] {
            let asked = HealthCheckRequest { service: service.to_owned() };
            assert_eq!(health.check(asked).await.unwrap().into_inner().status(), ServingStatus::Serving, "{bound}");
        }
    }
}

#[tokio::test]
async fn completions_are_served_to_callers_alone() {
    let stage = Stage::with("").await;
    for bound in [&stage.running.admin, &stage.running.ops] {
        let wire = stage::Wire::connect(tcp(bound)).await;
        wire.complete(&prompt("hello"), &[]).await.expect(Unimplemented, "METHOD_UNKNOWN", "no such method");
    }
}

macro_rules! reflected_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let list = pb::server_reflection_request::MessageRequest::ListServices(String::new());
        let asked = pb::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
        let mut answers = client.server_reflection_info(tokio_stream::once(asked)).await.unwrap().into_inner();
        match answers.message().await.unwrap().unwrap().message_response.unwrap() {
            pb::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<String>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn both_versions_of_reflection_name_the_services() {
    let stage = Stage::with("").await;
    let (completions, administration) = ("completiond.v1.CompletionService", "completiond.v1.AdminService");
    let Running { public, admin, .. } = &stage.running;
    for (bound, served, not_served) in [(public, completions, administration), (admin, administration, completions)] {
        let channel = channel(bound).await;
        for (services, itself) in [
            (reflected_services!(v1, channel.clone()), "grpc.reflection.v1.ServerReflection"),
            (reflected_services!(v1alpha, channel.clone()), "grpc.reflection.v1alpha.ServerReflection"),
        ] {
            for name in [served, "grpc.health.v1.Health", itself] {
                assert!(services.iter().any(|service| service == name), "{name} is not in {services:?}");
            }
            assert!(!services.iter().any(|service| service == not_served), "{not_served} is in {services:?}");
        }
    }
}

#[tokio::test]
async fn gzip_and_zstd_are_spoken_in_both_directions() {
    let stage = Stage::with("").await;
    let channel = channel(&stage.running.public).await;
    let long = "a long prompt that is worth compressing ".repeat(200);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client =
            CompletionServiceClient::new(channel.clone()).send_compressed(encoding).accept_compressed(encoding);
        let answer = client.complete(prompt(&format!("{long}\nsim: tokens=2000"))).await.unwrap();
        let spoken = answer.metadata().get("grpc-encoding").unwrap().to_str().unwrap().to_owned();
        assert_eq!(spoken, encoding.to_string());
        assert_eq!(answer.into_inner().outcome.unwrap().usage.unwrap().output_tokens, 2000);
        let mut events = client.stream_complete(prompt(&format!("{long}\nsim: tokens=20"))).await.unwrap().into_inner();
        let mut count = 0;
        while events.message().await.unwrap().is_some() {
            count += 1;
        }
        assert!(count > 20);
    }
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_served_and_goes_with_the_server() {
    let (upstream, folder) = (upstream().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("calls.sock");
    // One that nobody listens on any more is replaced.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let running = listening(&upstream, &format!("unix:{}", path.display())).await.unwrap();
    let mut client = CompletionServiceClient::new(channel(&running.public).await);
    assert!(client.complete(prompt("hello")).await.unwrap().into_inner().text.contains("simulated"));
    // One that somebody listens on is not.
    let second = listening(&upstream, &format!("unix:{}", path.display())).await.unwrap_err();
    assert!(matches!(second, StartError::Listen { .. }), "{second}");
    client.complete(prompt("hello")).await.unwrap();
    drop(client);
    within("the server stops", running.stop()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let (upstream, folder) = (upstream().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("letters");
    std::fs::write(&path, "dear").unwrap();
    let error = listening(&upstream, &format!("unix:{}", path.display())).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear");
}

#[tokio::test]
async fn an_address_in_use_is_told_by_name() {
    let upstream = upstream().await;
    let taken = upstream.address().to_string();
    let error = listening(&upstream, &taken).await.unwrap_err();
    assert!(error.to_string().contains(&taken), "{error}");
}

#[tokio::test]
async fn a_client_of_http_1_gets_an_answer_and_not_a_hang() {
    let stage = Stage::with("").await;
    // Where probes come in, plain HTTP has metrics.
    let listeners = [
        // Where callers come in, it is told what is there.
        (&stage.running.public, "404 Not Found"),
        (&stage.running.admin, "grpc-status: 12"),
        (&stage.running.ops, "404 Not Found"),
    ];
    for (bound, told) in listeners {
        let mut socket = TcpStream::connect(tcp(bound)).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        within("the connection is closed", socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(answer.contains(told), "{answer}");
    }
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nothing_else() {
    let stage = Stage::with("").await;
    for garbage in
        [&b"\x16\x03\x01\x02\x00 hello"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff", b"\0\0\0\0"]
    {
        let mut socket = TcpStream::connect(stage.address()).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        socket.shutdown().await.unwrap();
        // What is said last does not matter; a reset is an end as well.
        let _ = within("the connection is closed", socket.read_to_end(&mut Vec::new())).await;
    }
    stage.wire().await.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
}

#[tokio::test]
async fn metadata_has_a_bound_and_the_connection_survives_it() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    let large = "m".repeat(70_000);
    let answer = within("a head comes", wire.send("Complete", &prompt("hello"), &[("x-large", &large)])).await;
    assert!(answer.is_ok_and(|answer| answer.status() == 431), "it is refused before anything is asked");
    wire.complete(&prompt("hello"), &[("x-small", &"m".repeat(10_000))]).await.expect(Fine, "", "");
    assert_eq!(stage.upstream.received().len(), 1);
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused_packed_or_not() {
    let stage = Stage::with("limits: { max_request_bytes: 64KiB }").await;
    let large = prompt(&"words ".repeat(20_000));
    stage.wire().await.complete(&large, &[]).await.expect(InvalidArgument, "REQUEST_TOO_LARGE", "");
    let channel = channel(&stage.running.public).await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = CompletionServiceClient::new(channel.clone()).send_compressed(encoding);
        let status = client.complete(large.clone()).await.unwrap_err();
        assert_eq!(status.code(), InvalidArgument, "{status:?}");
    }
    eventually("nothing is in flight", || stage.running.admission.bytes_in_flight() == 0).await;
}
