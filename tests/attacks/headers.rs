//! Metadata without measure: too many, too large, without an end, and small on the wire.

use crate::paper::measured;
use crate::peer::{CONTINUATION, END_HEADERS, END_STREAM, Ears, HEADERS, Peer, frame, head, kept, literal, streams};
use crate::server::{MIB, Server, mib, shown};

const COMPLETE: &str = "/completiond.v1.CompletionService/Complete";

/// Sends `first`, then `next` again and again, until the server ends the connection; the bytes that it took.
async fn endless(server: &Server, first: &[u8], next: impl Fn(usize) -> Vec<u8>) -> usize {
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    peer.send(first).await;
    let mut sent = first.len();
    for number in 0.. {
        let frames = next(number);
        if peer.heard().is_over || !peer.send(&frames).await {
            break;
        }
        sent += frames.len();
        assert!(sent < 512 * MIB, "it goes on for ever");
    }
    peer.is_ended().await;
    sent
}

/// Frames, one after the other.
type Frames = Box<dyn Fn(usize) -> Vec<u8>>;

#[tokio::test]
async fn metadata_without_an_end_ends_its_connection() {
    let server = Server::start().await;
    server.serves().await;
    let begun = frame(HEADERS, 0, 1, &head(COMPLETE, &shown()));
    let small = literal(b"x", b"y");
    let large = literal(b"x", &[b'y'; 16_000]);
    let floods: [(&str, Frames); 4] = [
        ("empty frames", Box::new(|_| frame(CONTINUATION, 0, 1, &[]))),
        ("a byte each", Box::new(move |number| frame(CONTINUATION, 0, 1, &small[number % small.len()..][..1]))),
        ("small headers", Box::new(|number| frame(CONTINUATION, 0, 1, &literal(format!("x{number}").as_bytes(), b"")))),
        ("large ones", Box::new(move |_| frame(CONTINUATION, 0, 1, &large))),
    ];
    let mut told = Vec::new();
    for (name, next) in &floods {
        let sent = endless(&server, &begun, next).await;
        told.push(format!("{name}: {} KiB", sent.div_ceil(1024)));
    }
    let endured = server
        .endures(async || {
            endless(&server, &begun, &floods[3].1).await;
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    let told = format!("what was taken until the end: {}; {}", told.join(", "), endured.told());
    measured("metadata_without_an_end_ends_its_connection", &told);
}

#[tokio::test]
async fn what_unpacks_to_many_headers_is_refused_and_not_held() {
    let server = Server::start().await;
    server.serves().await;
    // One of 4000 bytes goes into the table, and a byte each names it again.
    let bomb = |times: usize| {
        let mut block = head(COMPLETE, &shown());
        block.extend(kept(b"x-bomb", &[b'b'; 4000]));
        block.extend(std::iter::repeat_n(0xbe, times));
        block
    };
    let endured = server
        .endures(async || {
            let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
            for stream in streams().take(100) {
                let block = bomb(12_000);
                if !peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await {
                    break;
                }
            }
            peer.hears("it is refused", |heard| heard.heads + heard.resets > 0 || heard.is_over).await;
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    assert!(server.upstream.received().iter().all(|request| request.body.contains("hello")));
    let told = format!("{} in 16 KiB, 100 times: {}", mib(12_000 * 4000), endured.told());
    measured("what_unpacks_to_many_headers_is_refused_and_not_held", &told);
}

#[tokio::test]
async fn more_or_larger_headers_than_there_may_be_are_refused() {
    let server = Server::start().await;
    let mut heads = 0;
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    let many: Vec<(String, String)> = (0..3000).map(|number| (format!("x-{number}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let large = "y".repeat(70_000);
    for (stream, more) in streams().zip([many, vec![("x", large.as_str())]]) {
        let more = [&shown()[..], &more].concat();
        let block = head(COMPLETE, &more);
        let mut pieces = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let end = if kind == HEADERS { end | END_STREAM } else { end };
            assert!(peer.send(&frame(kind, end, stream, piece)).await);
            kind = CONTINUATION;
        }
        heads += 1;
        peer.hears("it is answered with 431", |heard| heard.heads >= heads).await;
    }
    assert!(server.upstream.received().is_empty());
    server.serves().await;
    measured(
        "more_or_larger_headers_than_there_may_be_are_refused",
        "both answered with 431, and the connection goes on",
    );
}
