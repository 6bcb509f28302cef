//! Many connections, and what they cost.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::desk::{Desk, Tls, connect, eventually_refused, open};
use crate::process::Process;
use crate::stage::{Stage, framed, prompt, within};

const CONNECTIONS: usize = 2000;
/// What an idle connection over TLS may take, in bytes; it is about half of that.
const EACH: usize = 64 * 1024;

#[tokio::test]
async fn two_thousand_idle_connections_take_little_and_others_are_served() {
    let server = Process::start().await;
    let config = Tls::default().config(&server.authority);
    // What a first connection makes for all.
    let mut connections = vec![greeted(&server, &config).await];
    let before = server.resident();
    while connections.len() < CONNECTIONS {
        connections.extend(join_all((0..50).map(|_| greeted(&server, &config))).await);
    }
    let each = server.resident().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each of {CONNECTIONS} connections");
    assert!(each < EACH, "{each} bytes for each connection");
    server.client().complete(prompt("hello")).await.unwrap();
    assert!(connections.iter_mut().all(|sender| !sender.is_closed()));
}

type Sender = http2::SendRequest<http_body_util::Full<bytes::Bytes>>;

/// A connection on which HTTP/2 is spoken and nothing is asked.
async fn greeted(server: &Process, config: &std::sync::Arc<rustls::ClientConfig>) -> Sender {
    let stream = within("a handshake", connect(server.public, config)).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = within("a connection", handshake).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap();
    sender
}

#[tokio::test]
async fn beyond_the_limit_connections_are_closed_at_once_and_counted_and_probes_come_in() {
    let stage = Stage::with("connections: { max: 3 }").await;
    let standing = [stage.wire().await, stage.wire().await, stage.wire().await];
    for wire in &standing {
        wire.complete(&prompt("hello"), &[]).await.expect(Code::Ok, "", "");
    }
    let mut beyond = TcpStream::connect(stage.address()).await.unwrap();
    assert_eq!(within("it is closed", beyond.read(&mut [0; 1])).await.unwrap(), 0);
    eventually_refused(&stage.running, "limit", 1).await;
    assert_eq!(open(&stage.running).await, 3);
    drop(standing);
    let free = async { while open(&stage.running).await > 0 {} };
    within("places are free again", free).await;
    stage.wire().await.complete(&prompt("hello"), &[]).await.expect(Code::Ok, "", "");
}

#[tokio::test]
async fn streams_that_are_reset_at_once_hold_nothing_and_keep_nobody_out() {
    let desk = Desk::plain("").await;
    let config = Tls::default().config(&desk.authority);
    for _ in 0..5 {
        let stream = within("a handshake", connect(desk.address(), &config)).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..2000 {
            let request = http::Request::post("https://server/completiond.v1.CompletionService/StreamComplete")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(http_body_util::Full::new(framed(&prompt("sim: tokens=100000 pace=1s"))))
                .unwrap();
            let mut sender = sender.clone();
            if tokio::time::timeout(Duration::from_micros(1), async move {
                sender.ready().await?;
                sender.send_request(request).await
            })
            .await
            .is_ok_and(|answer| answer.is_err())
            {
                // The server has had enough of it.
                break;
            }
        }
        drop(sender);
        connection.abort();
    }
    desk.client(None).complete(prompt("hello")).await.unwrap();
    desk.stage.is_quiet().await;
}
