//! The same upstream on a real socket: what breaks there breaks for real.

use std::io::ErrorKind;
use std::time::Duration;

use completiond::simulator::{Pace, Simulator, Upstream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ask::{FORMATS, Format, instant};

/// Nothing in these tests takes long; a test that hangs shall fail.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(upstream: &Upstream, format: Format, prompt: &str) -> TcpStream {
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    let body = format.streamed(prompt).to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nx-mark: 7\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        format.path(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

/// All that comes until the connection ends, and how it ends.
async fn read(mut stream: TcpStream) -> (String, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    (String::from_utf8_lossy(&bytes).into_owned(), end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn answers_come_over_the_socket_and_requests_are_kept() {
    let upstream = Upstream::start(instant()).await.unwrap();
    for format in FORMATS {
        let (text, end) = read(connect(&upstream, format, "hello").await).await;
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("simulated"), "{text}");
        assert!(text.ends_with("0\r\n\r\n") && end.is_none(), "the body is not whole: {text}");
    }
    let received = upstream.received();
    assert_eq!((received.len(), *upstream.requests().borrow()), (2, 2));
    assert_eq!((received[1].path.as_str(), received[1].headers["x-mark"].as_bytes()), ("/v1/messages", &b"7"[..]));
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["messages"][0]["content"], "hello");
}

#[tokio::test]
async fn models_are_listed_for_both_kinds_of_clients() {
    let upstream = Upstream::start(instant()).await.unwrap();
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (text, _) = read(stream).await;
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["data"][0]["id"], &body["has_more"]), (&Value::from("simulator"), &Value::Bool(false)));
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let upstream = Upstream::start(instant()).await.unwrap();
    for format in FORMATS {
        for prompt in ["sim: reset_before_head", "sim: connect_refused"] {
            let (text, end) = read(connect(&upstream, format, prompt).await).await;
            assert_eq!((text.as_str(), end), ("", Some(ErrorKind::ConnectionReset)), "{prompt}");
        }
        // What was written before the reset may be lost with it, but the body's end mark is never there.
        let (text, end) = read(connect(&upstream, format, "sim: reset_after=3 tokens=10").await).await;
        assert!(!text.contains("\r\n0\r\n\r\n"), "{text}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_script_plays_once_and_in_order() {
    let upstream = Upstream::start(instant()).await.unwrap();
    upstream.play(["error=503", "status=418", ""]);
    for status in ["503", "418", "200", "200"] {
        let (text, _) = read(connect(&upstream, Format::Chat, "hello").await).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
    }
}

/// The status that `upstream` answers with, as text.
async fn status(upstream: &Upstream) -> String {
    let (text, _) = read(connect(upstream, Format::Chat, "hello").await).await;
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_ended() {
    let upstream = Upstream::start(instant()).await.unwrap();
    upstream.play_always("error=503");
    upstream.play(["status=418", ""]);
    for expected in ["418", "200", "503", "503"] {
        assert_eq!(status(&upstream).await, expected);
    }
    upstream.play_always("error=500");
    assert_eq!(status(&upstream).await, "500");
    upstream.play(["status=418"]);
    upstream.play_never();
    assert_eq!(status(&upstream).await, "200");
}

#[tokio::test]
async fn an_upstream_that_is_stopped_refuses_connections_until_it_is_back_at_the_same_port() {
    let upstream = Upstream::start(instant()).await.unwrap();
    let mut requests = upstream.requests();
    for round in 1..=5 {
        assert_eq!(status(&upstream).await, "200");
        let stream = connect(&upstream, Format::Chat, "sim: silence").await;
        tokio::time::timeout(PATIENCE, requests.wait_for(|requests| *requests == 2 * round)).await.unwrap().unwrap();
        upstream.stop().await;
        upstream.stop().await;
        assert_eq!((read(stream).await.0.as_str(), *upstream.connections().borrow()), ("", 0));
        for _ in 0..3 {
            let refused = TcpStream::connect(upstream.address()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        upstream.resume().await.unwrap();
        upstream.resume().await.unwrap();
    }
    assert_eq!((status(&upstream).await.as_str(), upstream.received().len()), ("200", 11));
}

#[tokio::test]
async fn all_requests_are_counted_and_the_last_are_kept() {
    let upstream = Upstream::start(instant()).await.unwrap();
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    let (mut requests, mut buffer) = (upstream.requests(), vec![0; 65_536]);
    for number in 1..=600 {
        let head = format!("GET /v1/models?{number} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    }
    tokio::time::timeout(PATIENCE, requests.wait_for(|requests| *requests == 600)).await.unwrap().unwrap();
    let received = upstream.received();
    assert_eq!((received.len(), received[255].path.as_str()), (256, "/v1/models?600"));
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let slow = Pace { first_event: Duration::ZERO, token: Duration::from_secs(3600) };
    for format in FORMATS {
        for prompt in ["hello", "sim: silence", "sim: stall_after=1"] {
            let upstream = Upstream::start(Simulator::new(slow)).await.unwrap();
            let (mut counts, mut connections) = (upstream.simulator().counts(), upstream.connections());
            let stream = connect(&upstream, format, prompt).await;
            let open = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| counts.open == 1)).await;
            open.unwrap().unwrap();
            drop(stream);
            let dropped = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| counts.dropped == 1)).await;
            assert_eq!(dropped.unwrap().unwrap().open, 0, "{prompt}");
            tokio::time::timeout(PATIENCE, connections.wait_for(|open| *open == 0)).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_dropped_ends_its_connections() {
    let upstream = Upstream::start(instant()).await.unwrap();
    let mut requests = upstream.requests();
    let stream = connect(&upstream, Format::Chat, "sim: silence").await;
    tokio::time::timeout(PATIENCE, requests.wait_for(|requests| *requests == 1)).await.unwrap().unwrap();
    drop(upstream);
    assert_eq!(read(stream).await.0, "");
}
