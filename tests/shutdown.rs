//! How the process stops: what is told to whom, what may finish, and that it ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use completiond::proto::CompleteResponse;
use completiond::proto::stream_complete_response::Event;
use completiond::simulator::{Simulator, Upstream};
use stage::{End, Events, Wire, eventually, prompt, seen, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code::{Ok as Fine, Unavailable};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A server as a process of its own, and its upstream.
struct Server {
    process: Child,
    upstream: Upstream,
    public: SocketAddr,
    ops: SocketAddr,
    _config: tempfile::NamedTempFile,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most tests have seen its end already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    async fn with(settings: &str) -> Self {
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let mut config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let settings = format!("{settings}\ntimeouts: {{ total: 10m }}\n");
        config.write_all(stage::configuration(&upstream.url(), "openai", &settings).as_bytes()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_completiond"))
            .arg("--config")
            .arg(config.path())
            .env_clear()
            .envs(stage::kept::variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stage::kept::stderr())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            let told = told.unwrap_or_else(|| panic!("the server does not say where its {name} go"));
            told.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (public, ops) = (address("calls"), address("probes"));
        Self { process, upstream, public, ops, _config: config }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    async fn wire(&self) -> Wire {
        Wire::connect(self.public).await
    }

    async fn exit(&mut self) -> ExitStatus {
        let mut exit = None;
        eventually("the process ends", || {
            exit = self.process.try_wait().unwrap();
            exit.is_some()
        })
        .await;
        exit.unwrap()
    }

    async fn health(&self) -> HealthClient<tonic::transport::Channel> {
        let endpoint = tonic::transport::Endpoint::try_from(format!("http://{}", self.ops)).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap())
    }
}

fn everything() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

/// How a call ended whose connection may have broken.
async fn outcome(mut events: Events) -> Result<(End, Option<Event>), String> {
    let mut last = None;
    while let Some(bytes) = events.try_next_bytes().await? {
        last =
            prost::Message::decode(bytes).map(|told: completiond::proto::StreamCompleteResponse| told.event).unwrap();
    }
    Ok((events.status(), last))
}

#[tokio::test]
async fn it_says_so_first_then_refuses_and_lets_what_runs_finish() {
    let mut server = Server::with("drain_delay: 1500ms\nshutdown_grace: 1m").await;
    let mut health = server.health().await;
    assert_eq!(health.check(everything()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let old = server.wire().await;
    let mut running = old.stream(&prompt("sim: tokens=60 pace=50ms"), &[]).await;
    assert!(matches!(running.event().await, Event::Started(_)));
    server.signal("TERM");

    // A watcher hears of it at once, and calls are served on old and new connections.
    let mut watching = health.watch(everything()).await.unwrap().into_inner();
    while within("health is told", watching.message()).await.unwrap().unwrap().status() != ServingStatus::NotServing {}
    old.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    let new = server.wire().await;
    new.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");

    // Then nothing new is let in, and the connection that has nothing to do is closed.
    within("the idle connection is closed", new.closed()).await;
    let public = server.public;
    let mut refused = false;
    while !refused {
        refused = TcpStream::connect(public).await.is_err();
    }
    // Probes are still told so, on new connections too.
    let status = server.health().await.check(everything()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    match old.send("Complete", &prompt("hello"), &[]).await {
        Ok(response) => Events::of(response).end().await.expect(Fine, "", ""),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    let told = running.all(1).await;
    assert!(matches!(told.last(), Some(Event::Completed(_))), "{:?}", told.last());
    assert_eq!(running.status().code, Fine);
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_outlives_the_grace_is_told_that_the_server_stops() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::with("drain_delay: 0\nshutdown_grace: 300ms").await;
        let wire = server.wire().await;
        let begun = wire.stream(&prompt("sim: tokens=1000 pace=100ms"), &[]).await;
        let silent = tokio::spawn(wire.send("StreamComplete", &prompt("sim: silence"), &[]));
        let whole = tokio::spawn(wire.send("Complete", &prompt("sim: silence"), &[]));
        let narrow = Wire::with_window(server.public, 100).await;
        let stalled = narrow.stream(&prompt("sim: tokens=200000"), &[]).await;
        seen(server.upstream.simulator().counts(), |counts| counts.open == 4).await;
        server.signal(signal);
        begun.end().await.expect(Unavailable, "SHUTTING_DOWN", "the server stops");
        for waiting in [silent, whole] {
            let response = within("a head comes", waiting).await.unwrap().unwrap();
            Events::of(response).end().await.expect(Unavailable, "SHUTTING_DOWN", "the server stops");
        }
        // A client that takes nothing does not keep the process.
        assert_eq!(server.exit().await.code(), Some(0), "{signal}");
        seen(server.upstream.simulator().counts(), |counts| counts.open == 0 && counts.dropped == 4).await;
        drop(stalled);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::with("drain_delay: 0\nshutdown_grace: 10m").await;
    let wire = server.wire().await;
    let events = wire.stream(&prompt("sim: tokens=1000 pace=100ms"), &[]).await;
    server.signal("TERM");
    eventually("connections are refused", || std::net::TcpStream::connect(server.public).is_err()).await;
    assert!(server.process.try_wait().unwrap().is_none(), "a running call keeps it");
    server.signal("INT");
    assert_eq!(server.exit().await.code(), Some(130));
    let ended = outcome(events).await;
    assert!(!matches!(&ended, Ok((end, _)) if end.code == Fine), "{ended:?}");
}

#[tokio::test]
async fn idle_connections_and_watchers_do_not_keep_the_process() {
    let mut server = Server::with("drain_delay: 0\nshutdown_grace: 10m").await;
    let idle = server.wire().await;
    idle.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    let mut health = server.health().await;
    let mut watching = health.watch(everything()).await.unwrap().into_inner();
    assert!(watching.message().await.unwrap().is_some());
    let reflection = idle.begin_raw("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    let mut reflection = (reflection.0, within("a head", reflection.1).await.unwrap());
    // Connections that never say anything, or half a greeting.
    let silent = TcpStream::connect(server.public).await.unwrap();
    let half = TcpStream::connect(server.public).await.unwrap();
    half.try_write(b"PRI * HT").unwrap();
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    let ended = loop {
        match watching.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(ended.unwrap_err().code(), Unavailable);
    reflection.1.body_mut();
    drop((silent, half, idle));
}

#[tokio::test]
async fn two_hundred_streams_end_complete_or_not_ok() {
    let mut server = Server::with("drain_delay: 0\nshutdown_grace: 700ms").await;
    let wire = server.wire().await;
    let mut streams = Vec::new();
    for number in 0..200 {
        // From answers that are nearly over to some that outlive the grace.
        let asked = prompt(&format!("sim: tokens={} pace=10ms", 20 + number));
        streams.push(tokio::spawn(outcome(wire.stream(&asked, &[]).await)));
    }
    server.signal("TERM");
    let (mut whole, mut cut) = (0, 0);
    for end in streams {
        match within("every stream ends", end).await.unwrap() {
            Ok((end, last)) if end.code == Fine => {
                assert!(matches!(last, Some(Event::Completed(_))), "{last:?}");
                whole += 1;
            }
            Ok((end, last)) => {
                end.expect(Unavailable, "SHUTTING_DOWN", "the server stops");
                assert!(!matches!(last, Some(Event::Completed(_))));
                cut += 1;
            }
            Err(error) => panic!("a stream ended without a status: {error}"),
        }
    }
    assert_eq!(whole + cut, 200);
    assert!(cut > 0, "the longest outlive the grace");
    assert_eq!(server.exit().await.code(), Some(0));
}

/// A connection whose frames a test writes and reads by hand: no client that is well made sends anything on one that it was
/// told to leave, so that the moment between can be held.
struct Frames(TcpStream);

/// The kinds of frames, by their numbers.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

impl Frames {
    async fn connect(address: SocketAddr) -> Self {
        let mut frames = Self(TcpStream::connect(address).await.unwrap());
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// The payload of the next frame of this kind.
    async fn next(&mut self, wanted: u8) -> Vec<u8> {
        let read = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.0.read_exact(&mut payload).await.unwrap();
                if head[3] == wanted && (wanted != SETTINGS || head[4] != ACK) {
                    return payload;
                }
            }
        };
        within("a frame comes", read).await
    }

    async fn send_call(&mut self, stream: u32, path: &str, message: &[u8]) {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "server"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let mut block = Vec::new();
        for (name, value) in fields {
            // Literal, neither indexed nor shortened.
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text.as_bytes());
            }
        }
        self.write(HEADERS, END_HEADERS, stream, &block).await;
        self.write(DATA, END_STREAM, stream, message).await;
    }
}

/// The last stream of a GOAWAY.
fn last_stream(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[..4].try_into().unwrap())
}

#[tokio::test]
async fn a_call_that_was_on_its_way_when_connections_were_told_to_go_away_is_served() {
    let mut server = Server::with("drain_delay: 0\nshutdown_grace: 1m").await;
    let mut frames = Frames::connect(server.public).await;
    frames.next(SETTINGS).await;
    server.signal("TERM");
    assert_eq!(last_stream(&frames.next(GOAWAY).await), u32::MAX >> 1, "the first one turns nothing away");
    let ping = frames.next(PING).await;
    frames.send_call(1, "/completiond.v1.CompletionService/Complete", &stage::framed(&prompt("hello"))).await;
    let answer: CompleteResponse = prost::Message::decode(&frames.next(DATA).await[5..]).unwrap();
    assert!(!answer.text.is_empty(), "{answer:?}");
    // As if the client had heard of it only now.
    frames.write(PING, ACK, 0, &ping).await;
    assert_eq!(last_stream(&frames.next(GOAWAY).await), 1, "what was served is named");
    assert_eq!(server.exit().await.code(), Some(0));
}
