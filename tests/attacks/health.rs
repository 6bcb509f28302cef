//! The one question for which nobody needs a key takes nothing from those who have one.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::paper::measured;
use crate::peer::{DATA, END_HEADERS, END_STREAM, Ears, HEADERS, Peer, frame, head, streams};
use crate::server::{MIB, Server};
use crate::stage::within;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const OPEN: &str = "completiond_connections{completiond_listener=\"public\"";
/// An empty question, as gRPC frames it.
const ASKED: [u8; 5] = [0; 5];

/// Asks on `stream`, and says whether more is to come.
fn asked(path: &str, stream: u32, end: u8) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, &head(path, &[])), frame(DATA, end, stream, &ASKED)].concat()
}

#[tokio::test]
async fn watches_of_the_health_keep_no_connection() {
    const CONNECTIONS: usize = 40;
    let server = Server::with("connections: { max: 40, max_idle: 300ms }").await;
    let mut peers = Vec::new();
    for number in 0..CONNECTIONS {
        let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
        let (path, end) = if number % 2 == 0 { (WATCH, END_STREAM) } else { (CHECK, 0) };
        peer.send(&asked(path, 1, end)).await;
        peers.push(peer);
    }
    // Each is told to go away, its stream ends in order, and with it the connection: a client that is in order goes.
    for peer in &mut peers {
        let heard = peer.hears("it is told to go away", |heard| heard.goaway.is_some() || heard.is_over).await;
        assert!(heard.goaway.is_none_or(|why| why == 0), "{heard:?}");
    }
    drop(peers);
    server.number_is(OPEN, |open| open <= 1.0).await;
    server.serves().await;
    measured(
        "watches_of_the_health_keep_no_connection",
        "40 of 40 connections told to go away when they were idle but for a watch or a question without an end",
    );
}

#[tokio::test]
async fn questions_after_the_health_take_no_room_from_calls() {
    // All requests together may have 256 KiB: one stranger would fill that by questions that never end.
    let server = Server::with("limits: { max_request_bytes: 256KiB, max_bytes_in_flight: 256KiB }").await;
    server.serves().await;
    let large = vec![0; 16_000];
    let endured = server
        .endures_without_end(async || {
            let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
            for stream in streams() {
                // What it has is declared as 4 MiB, and comes without an end.
                let declared = frame(DATA, 0, stream, &[0, 0, 0x3f, 0xff, 0xff]);
                let frames = [frame(HEADERS, END_HEADERS, stream, &head(CHECK, &[])), declared].concat();
                if peer.heard().is_over || !peer.send(&[frames, frame(DATA, 0, stream, &large)].concat()).await {
                    break;
                }
            }
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    server.number_is("completiond_calls_request_bytes_in_flight_bytes", |bytes| bytes == 0.0).await;
    measured("questions_after_the_health_take_no_room_from_calls", &endured.told());
}

#[tokio::test]
async fn a_connection_has_few_watches_at_a_time() {
    let server = Server::start().await;
    server.serves().await;
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    for stream in streams().take(8) {
        peer.send(&asked(WATCH, stream, END_STREAM)).await;
    }
    peer.hears("eight are served", |heard| heard.heads == 8).await;
    let before = server.held();
    for stream in streams().skip(8).take(900) {
        peer.send(&asked(WATCH, stream, END_STREAM)).await;
    }
    // Those beyond are over with their head.
    let heard = peer.hears("the others are refused", |heard| heard.heads == 908).await;
    assert_eq!(heard.ends, 900);
    assert!(server.held().resident < before.resident + 32 * MIB);
    server.serves().await;
    measured(
        "a_connection_has_few_watches_at_a_time",
        "8 of 908 served, the others refused with UNAVAILABLE on their headers",
    );
}

#[tokio::test]
async fn connections_that_say_nothing_and_probes_are_served_side_by_side() {
    let server = Server::start().await;
    server.serves().await;
    let before = server.held();
    let mut silent = Vec::new();
    for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"GET / HTT", b"GET / HTTP/1.1\r\nhost: server\r\n"]
        .iter()
        .cycle()
        .take(500)
    {
        let mut socket = TcpStream::connect(server.public).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, said).await.unwrap();
        silent.push(socket);
    }
    server.number_is(OPEN, |open| open >= 500.0).await;
    server.serves().await;
    // A byte more of each now and then makes none of them any better.
    let endured = server
        .endures_without_end(async || {
            for socket in &silent {
                let _ = socket.try_write(b"x");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    assert!(endured.bytes() < 32 * MIB, "{endured:?}");
    drop(silent);
    within("they are gone", server.has_let_go(before, 32 * MIB)).await;
    measured(
        "connections_that_say_nothing_and_probes_are_served_side_by_side",
        &format!("500 half-said greetings: {}", endured.told()),
    );
}
