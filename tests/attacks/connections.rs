//! As many connections as there may be, and clients that take nothing of what they asked for.

use std::cell::RefCell;
use std::process::Command;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::paper::measured;
use crate::peer::{DATA, END_HEADERS, END_STREAM, Ears, HEADERS, Peer, frame, head, streams};
use crate::server::{MIB, Server, ask, mib, shown};
use crate::stage::{framed, within};

const OPEN: &str = "completiond_connections{completiond_listener=\"public\"";
const REFUSED: &str =
    "completiond_connections_refused_total{completiond_listener=\"public\",completiond_reason=\"limit\"";
/// What an idle connection may take, in bytes.
const EACH: usize = 64 * 1024;

/// How many connections this machine lets a test have: ten thousand, if it does.
fn possible() -> usize {
    // As much as this process may have; without the program, what it has.
    let own = std::process::id().to_string();
    let _ = Command::new("prlimit").args(["--pid", &own, "--nofile=1048576:1048576"]).output();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let most: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    most.saturating_sub(2000).min(10_000)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[tokio::test]
async fn ten_thousand_idle_connections_take_little_and_the_last_place_is_served() {
    let most = possible();
    assert!(most >= 500, "this machine allows {most} connections");
    let server = Server::with(&format!("connections: {{ max: {most} }}")).await;
    server.serves().await;
    server.number_is(OPEN, |open| open == 0.0).await;
    let before = server.held();
    let mut idle = Vec::new();
    while idle.len() < most - 1 {
        let many = (most - 1 - idle.len()).min(100);
        idle.extend(join_all((0..many).map(|_| Peer::meet(server.public))).await);
    }
    server.number_is(OPEN, |open| open == number(most - 1)).await;
    let held = server.held();
    let each = held.resident.saturating_sub(before.resident) / most;
    assert!(each < EACH, "{each} bytes for each connection");
    server.serves().await;
    // Nobody else has a place, and probes have their own.
    server.number_is(OPEN, |open| open == number(most - 1)).await;
    let last = Peer::meet(server.public).await;
    let mut beyond = TcpStream::connect(server.public).await.unwrap();
    let read = within("it is closed", beyond.read(&mut [0; 1])).await;
    assert!(read.is_err() || read.is_ok_and(|read| read == 0));
    server.number_is(REFUSED, |refused| refused >= 1.0).await;
    drop((idle, last));
    server.number_is(OPEN, |open| open == 0.0).await;
    let after = server.has_let_go(before, 96 * MIB).await;
    server.serves().await;
    let told = format!(
        "{most} connections: {} before, {} with them ({} KiB each), {} after; {} handles before, {} with them, {} after",
        mib(before.resident),
        mib(held.resident),
        each.div_ceil(1024),
        mib(after.resident),
        before.handles,
        held.handles,
        after.handles
    );
    measured("ten_thousand_idle_connections_take_little_and_the_last_place_is_served", &told);
}

#[tokio::test]
async fn who_takes_nothing_of_a_stream_holds_its_place_for_no_longer_than_it_may() {
    const STREAMS: usize = 500;
    let server = Server::with("stream: { client_stall: 1s }").await;
    server.serves().await;
    let before = server.held();
    // A window of nothing, for each stream.
    let mut peer = Peer::greet(server.public, &[(4, 0)], Ears::Open).await;
    let mut asked = ask("sim: tokens=200000 first_event=0ms pace=1ms");
    asked.model = "sim/simulator".to_owned();
    for stream in streams().take(STREAMS) {
        let head =
            frame(HEADERS, END_HEADERS, stream, &head("/completiond.v1.CompletionService/StreamComplete", &shown()));
        assert!(peer.send(&[head, frame(DATA, END_STREAM, stream, &framed(&asked))].concat()).await);
    }
    peer.hears("all have begun", |heard| heard.heads >= STREAMS).await;
    let endured = server.endures_without_end(std::future::pending::<()>).await;
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    let held = server.held().resident.saturating_sub(before.resident);
    assert!(held < 128 * MIB, "{held}");
    assert!(!peer.heard().is_over, "other streams of the connection could go on");
    drop(peer);
    let told = format!("{STREAMS} streams given up after client_stall, {} more held; {}", mib(held), endured.told());
    measured("who_takes_nothing_of_a_stream_holds_its_place_for_no_longer_than_it_may", &told);
}

#[tokio::test]
async fn who_reads_nothing_at_all_holds_no_more_than_its_window() {
    const CONNECTIONS: usize = 20;
    let server = Server::start().await;
    server.serves().await;
    let mut asked = ask("sim: tokens=2000 first_event=0ms pace=0ms");
    asked.model = "sim/simulator".to_owned();
    let deaf = RefCell::new(Vec::new());
    let endured = server
        .endures_without_end(async || {
            for _ in 0..CONNECTIONS {
                let mut peer = Peer::greet(server.public, &[], Ears::Closed).await;
                for stream in streams().take(4) {
                    let head = frame(
                        HEADERS,
                        END_HEADERS,
                        stream,
                        &head("/completiond.v1.CompletionService/StreamComplete", &shown()),
                    );
                    peer.send(&[head, frame(DATA, END_STREAM, stream, &framed(&asked))].concat()).await;
                }
                deaf.borrow_mut().push(peer);
            }
            std::future::pending::<()>().await;
        })
        .await;
    assert!(endured.bytes() < 128 * MIB, "{endured:?}");
    drop(deaf);
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    measured(
        "who_reads_nothing_at_all_holds_no_more_than_its_window",
        &format!("{} answers of 2000 tokens on {CONNECTIONS} connections: {}", 4 * CONNECTIONS, endured.told()),
    );
}
