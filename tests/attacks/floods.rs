//! HTTP/2 as no client speaks it: streams that are reset at once, frames that carry nothing, and a server that is made to
//! reset streams itself.

use crate::paper::measured;
use crate::peer::{
    DATA, END_HEADERS, ENHANCE_YOUR_CALM, Ears, HEADERS, PING, PRIORITY, Peer, RESET, SETTINGS, WINDOW_UPDATE, frame,
    head, streams,
};
use crate::server::{MIB, Server, shown};

const STREAM_COMPLETE: &str = "/completiond.v1.CompletionService/StreamComplete";
/// The streams of one connection, if it lasts so long.
const STREAMS: usize = 200_000;
/// The frames that are written at a time.
const AT_A_TIME: usize = 200;

/// Begins streams and ends each by `ending`, until the server ends the connection: how many were written until that was heard,
/// which is more than were read, and why it was ended.
async fn begun(server: &Server, head: &[u8], ending: impl Fn(u32) -> Vec<u8>) -> (usize, Option<u32>) {
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    let mut sent = 0;
    let mut numbers = streams();
    while sent < STREAMS && !peer.heard().is_over {
        let mut frames = Vec::new();
        for stream in numbers.by_ref().take(AT_A_TIME) {
            frames.extend(frame(HEADERS, END_HEADERS, stream, head));
            frames.extend(ending(stream));
        }
        if !peer.send(&frames).await {
            break;
        }
        sent += AT_A_TIME;
        tokio::task::yield_now().await;
    }
    let heard = peer.hears("it is told to be calm", |heard| heard.goaway.is_some() || heard.is_over).await;
    (sent, heard.goaway)
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_their_connection() {
    let server = Server::start().await;
    server.serves().await;
    let mut told = Vec::new();
    for (who, head) in [
        ("a stranger", head(STREAM_COMPLETE, &[])),
        ("a known caller", head(STREAM_COMPLETE, &shown())),
        ("a probe", head("/grpc.health.v1.Health/Watch", &[])),
    ] {
        let (sent, why) = begun(&server, &head, |stream| frame(RESET, 0, stream, &8_u32.to_be_bytes())).await;
        assert!(why.is_none_or(|why| why == ENHANCE_YOUR_CALM) && sent < STREAMS, "{who}: {sent}, {why:?}");
        told.push(format!("{who} after at most {sent}"));
    }
    let head = head(STREAM_COMPLETE, &shown());
    let endured = server
        .endures(async || {
            begun(&server, &head, |stream| frame(RESET, 0, stream, &8_u32.to_be_bytes())).await;
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    let told = format!("ended: {}; {}", told.join(", "), endured.told());
    measured("streams_that_are_reset_at_once_end_their_connection", &told);
}

/// What is wrong on a stream.
type Fault = fn(u32) -> Vec<u8>;

#[tokio::test]
async fn a_server_that_is_made_to_reset_streams_ends_the_connection() {
    let server = Server::start().await;
    server.serves().await;
    let head = head(STREAM_COMPLETE, &shown());
    let faults: [(&str, Fault); 2] = [
        ("a window update of nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window beyond all bounds", |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())),
    ];
    let mut told = Vec::new();
    for (name, fault) in faults {
        let (sent, _) = begun(&server, &head, fault).await;
        assert!(sent < STREAMS, "{name}: {sent}");
        told.push(format!("{name}: ended after at most {sent} streams"));
    }
    let endured = server
        .endures(async || {
            begun(&server, &head, faults[0].1).await;
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    let told = format!("{}; {}", told.join(", "), endured.told());
    measured("a_server_that_is_made_to_reset_streams_ends_the_connection", &told);
}

#[tokio::test]
async fn frames_that_carry_nothing_hold_nothing_and_keep_nobody_out() {
    let server = Server::start().await;
    server.serves().await;
    let window = 1_u32.to_be_bytes();
    let floods: Vec<(&str, Vec<u8>)> = vec![
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS that change a table", frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0x10, 0])),
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("padded DATA of nothing", frame(DATA, 8, 1, &[vec![255], vec![0; 255]].concat())),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &window)),
        ("a type that nobody knows", frame(0xbe, 0, 0, &[0; 64])),
        ("RST_STREAM of one that is over", frame(RESET, 0, 1, &8_u32.to_be_bytes())),
    ];
    let mut most = 0;
    let mut calls = 0;
    for (name, one) in &floods {
        let many: Vec<u8> = one.iter().copied().cycle().take(one.len() * AT_A_TIME).collect();
        // With ears, and without: what is answered and not read waits at the server, which reads no more then.
        for ears in [Ears::Open, Ears::Closed] {
            let endured = server
                .endures_without_end(async || {
                    let mut peer = Peer::greet(server.public, &[], ears).await;
                    peer.send(&frame(HEADERS, END_HEADERS, 1, &head(STREAM_COMPLETE, &shown()))).await;
                    while !peer.heard().is_over && peer.send(&many).await {}
                })
                .await;
            assert!(endured.bytes() < 64 * MIB, "{name}, {ears:?}: {endured:?}");
            most = most.max(endured.bytes());
            calls += endured.calls;
        }
    }
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    let told = format!(
        "{} kinds of frames, read and unread answers: {} more at most; {calls} calls beside them answered",
        floods.len(),
        crate::server::mib(most)
    );
    measured("frames_that_carry_nothing_hold_nothing_and_keep_nobody_out", &told);
}
