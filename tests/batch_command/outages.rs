//! Servers that go away in the middle.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Child;

use completiond::simulator::{Simulator, Upstream};

use crate::desk::{Desk, Running, asked, command, item, requests, until};
use crate::stage::{Stage, configuration};

const ITEMS: usize = 120;
const AT_A_TIME: usize = 6;

/// A server as a process of its own.
struct Server {
    process: Child,
    _config: tempfile::NamedTempFile,
}

impl Server {
    fn start(address: SocketAddr, upstream: &Upstream) -> Self {
        let mut config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let settings = "drain_delay: 0\nshutdown_grace: 20s\nworkers: 1\n";
        let text = configuration(&format!("{}/v1", upstream.url()), "openai", settings);
        let text = text.replacen("listen: 127.0.0.1:0", &format!("listen: {address}"), 1);
        config.write_all(text.as_bytes()).unwrap();
        let mut starting = command(&["--config"]);
        let mut process = starting.arg(config.path()).spawn().unwrap();
        let mut log = process.stderr.take().unwrap();
        // What nobody reads would stop the server once the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().trim().starts_with("calls")), "the server does not listen");
        Self { process, _config: config }
    }

    fn end(mut self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_server_that_is_restarted_is_waited_for_and_nothing_is_lost() {
    for (signal, most_again) in [("-KILL", AT_A_TIME), ("-TERM", 0)] {
        let (upstream, address) = (Upstream::start(Simulator::default()).await.unwrap(), free());
        let server = Server::start(address, &upstream);
        let desk = Desk::with((1..=ITEMS).map(|number| item(number, 20)));
        let mut running = Running::start(desk.command(address, &["--max-concurrency", "6"]));
        until("it is on its way", || requests(&upstream) >= 40).await;
        tokio::task::spawn_blocking(move || server.end(signal)).await.unwrap();
        assert!(!running.has_ended());
        let _server = Server::start(address, &upstream);
        let done = running.end().await;
        assert_eq!(done.code, 0, "{signal}: {}", done.err);
        assert!(done.err.contains("the stream broke off; waiting for the server"), "{signal}: {}", done.err);
        assert_eq!(desk.names(), (1..=ITEMS).map(|number| format!("n{number}")).collect::<Vec<_>>());
        let asked = asked(&upstream);
        let again: usize = asked.values().map(|times| times - 1).sum();
        assert_eq!(asked.len(), ITEMS);
        assert!(again <= most_again, "{signal}: {again} were asked again");
    }
}

#[tokio::test]
async fn a_server_that_does_not_come_back_ends_the_batch_which_can_go_on_elsewhere() {
    let (upstream, address) = (Upstream::start(Simulator::default()).await.unwrap(), free());
    let server = Server::start(address, &upstream);
    let desk = Desk::with((1..=ITEMS).map(|number| item(number, 20)));
    let running = Running::start(desk.command(address, &["--reconnect-for", "1s"]));
    until("the first results are kept", || desk.kept().len() >= 10).await;
    drop(server);
    let done = running.end().await;
    assert_eq!(done.code, 4, "{}", done.err);
    assert!(
        done.err.contains("the server does not come back") && done.err.contains("goes on from there"),
        "{}",
        done.err
    );
    assert!(!desk.output().exists());
    let stage = Stage::with("").await;
    let kept = desk.kept().len();
    assert_eq!(desk.batch(stage.address(), &[]).await.code, 0);
    assert_eq!(requests(&stage.upstream), ITEMS - kept, "only what had no result was asked");
}

#[tokio::test]
async fn an_item_that_the_server_does_not_take_fails_alone() {
    let stage = Stage::with("limits: { max_request_bytes: 20KiB }\n").await;
    let desk = Desk::with((0..12).map(|number| {
        let filler = if number == 5 { "x".repeat(40_000) } else { String::new() };
        let prompt = format!("sim: tokens=3 pace=0ms first_event=20ms\n{filler}item {number}");
        serde_json::json!({ "custom_id": number.to_string(), "request": { "prompt": prompt } }).to_string()
    }));
    let done = desk.batch(stage.address(), &[]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    let results = desk.results();
    assert_eq!(results[5]["status"]["reason"], "REQUEST_TOO_LARGE", "{}", results[5]);
    assert_eq!(results.iter().filter(|result| result.get("response").is_some()).count(), 11);
}
