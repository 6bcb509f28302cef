//! Messages that are larger than they look: bombs, and lengths that are declared and not sent.

use std::io::Write;

use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message;
use tonic::Code;

use crate::paper::measured;
use crate::peer::{DATA, END_HEADERS, Ears, HEADERS, Peer, frame, head, streams};
use crate::server::{MIB, Server, ask, mib, shown};
use crate::stage::{End, Events, Wire, within};

const COMPLETE: &str = "/completiond.v1.CompletionService/Complete";
/// What a bomb unpacks to, in bytes.
const UNPACKED: usize = 256 * MIB;
/// The bombs that are sent at a time.
const AT_A_TIME: usize = 8;

fn gzip(unpacked: usize) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; MIB];
    (0..unpacked / MIB).for_each(|_| packer.write_all(&zeros).unwrap());
    packer.finish().unwrap()
}

fn zstd_frame(unpacked: usize) -> Vec<u8> {
    let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; MIB];
    (0..unpacked / MIB).for_each(|_| packer.write_all(&zeros).unwrap());
    packer.finish().unwrap()
}

/// A frame whose head wants a window of this power of two, and holds one block of a repeated byte.
fn zstd_window(power: u8) -> Vec<u8> {
    let repeated: u32 = 1 | 1 << 1 | (128 * 1024) << 3;
    let block = repeated.to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, (power - 10) << 3][..], &block[..3], &[0]].concat()
}

fn message(flag: u8, packed: &[u8]) -> Bytes {
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, packed].concat().into()
}

async fn send(server: &Server, encoding: Option<&str>, body: Bytes) -> End {
    let wire = Wire::connect(server.public).await;
    let headers: Vec<_> = shown().into_iter().chain(encoding.map(|it| ("grpc-encoding", it))).collect();
    Events::of(within("a head comes", wire.send_raw(COMPLETE, body, &headers)).await.unwrap()).end().await
}

#[tokio::test]
async fn bombs_are_unpacked_no_further_than_a_request_may_be() {
    let server = Server::start().await;
    server.serves().await;
    let before = server.held();
    let (gzip, zstd) = (gzip(UNPACKED), zstd_frame(UNPACKED));
    assert!(gzip.len() < MIB && zstd.len() < MIB, "they are small on their way");
    let twice = [zstd.clone(), zstd.clone()].concat();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 0, 0, 0, 0][..], &zstd].concat();
    let bombs: Vec<(&str, Option<&str>, Bytes)> = vec![
        ("gzip", Some("gzip"), message(1, &gzip)),
        ("zstd", Some("zstd"), message(1, &zstd)),
        ("two frames", Some("zstd"), message(1, &twice)),
        ("behind a frame that is skipped", Some("zstd"), message(1, &skipped)),
        ("a window of 128 MiB", Some("zstd"), message(1, &zstd_window(27))),
        ("a window of 2 GiB", Some("zstd"), message(1, &zstd_window(31))),
        ("packed, and no encoding named", None, message(1, &gzip)),
        ("packed, and called plain", Some("identity"), message(1, &gzip)),
        ("the other encoding", Some("zstd"), message(1, &gzip)),
        ("not packed, it says", Some("gzip"), message(0, &gzip)),
        ("unknown", Some("br"), message(1, &gzip)),
    ];
    for (name, encoding, body) in &bombs {
        let end = send(&server, *encoding, body.clone()).await;
        assert!(matches!(end.code, Code::InvalidArgument | Code::Unimplemented), "{name}: {end:?}");
    }
    let bombs = &bombs;
    let endured = server
        .endures(async || {
            let server = &server;
            let all = (0..AT_A_TIME).map(|number| {
                let (name, encoding, body) = &bombs[number % 6];
                async move { (*name, send(server, *encoding, body.clone()).await) }
            });
            for (name, end) in join_all(all).await {
                assert_eq!(end.code, Code::InvalidArgument, "{name}: {end:?}");
            }
        })
        .await;
    // Each worker unpacks one at a time, up to the 32 MiB that a request may have; what is given back is used again.
    assert!(endured.most.resident - before.resident < 384 * MIB, "{endured:?}");
    assert!(server.upstream.received().iter().all(|request| request.body.contains("hello")));
    let told = format!(
        "{} and {} KiB on the wire for {} each, {AT_A_TIME} at a time: {} before, {} at most; {} calls beside it answered",
        gzip.len() / 1024,
        zstd.len() / 1024,
        mib(UNPACKED),
        mib(before.resident),
        mib(endured.most.resident),
        endured.calls
    );
    measured("bombs_are_unpacked_no_further_than_a_request_may_be", &told);
}

#[tokio::test]
async fn a_length_that_is_declared_and_not_sent_holds_nothing() {
    const STREAMS: u32 = 900;
    let server = Server::start().await;
    server.serves().await;
    let before = server.held();
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    let declared = [&[0][..], &u32::try_from(32 * MIB).unwrap().to_be_bytes()].concat();
    for stream in streams().take(900) {
        let head = frame(HEADERS, END_HEADERS, stream, &head(COMPLETE, &shown()));
        assert!(peer.send(&[head, frame(DATA, 0, stream, &declared)].concat()).await);
    }
    let in_flight = server.number_is("completiond_calls_in_flight", |calls| calls >= f64::from(STREAMS)).await;
    assert_eq!(server.number("completiond_calls_request_bytes_in_flight_bytes").await, Some(5.0 * in_flight));
    server.serves().await;
    let held = server.held().resident.saturating_sub(before.resident);
    assert!(held < 64 * MIB, "{held}");
    drop(peer);
    server.number_is("completiond_calls_in_flight", |calls| calls == 0.0).await;
    let told = format!("{STREAMS} streams declare 32 MiB each and send 5 bytes: {} more are held", mib(held));
    measured("a_length_that_is_declared_and_not_sent_holds_nothing", &told);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_before_it_is_held() {
    let server = Server::with("limits: { max_request_bytes: 1MiB, max_bytes_in_flight: 8MiB }").await;
    server.serves().await;
    let large = crate::stage::framed(&ask(&"x".repeat(64 * MIB)));
    assert!(ask(&"x".repeat(MIB / 2)).encoded_len() < MIB);
    let endured = server
        .endures(async || {
            let all = (0..8).map(|_| send(&server, None, large.clone()));
            for end in join_all(all).await {
                end.expect(Code::InvalidArgument, "REQUEST_TOO_LARGE", "");
            }
        })
        .await;
    assert!(endured.bytes() < 128 * MIB, "{endured:?}");
    measured("a_message_beyond_the_limit_is_refused_before_it_is_held", &endured.told());
}
