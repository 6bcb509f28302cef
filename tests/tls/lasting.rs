//! How long connections last.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use completiond::proto::stream_complete_response::Event;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Code;

use crate::desk::Desk;
use crate::stage::{Events, Stage, framed, prompt, within};

/// Calls one after the other until there were as many connections as wanted: a new one when the last is told to go away. What
/// was not sent when that came is sent over the new one, as clients of gRPC do by themselves; what was sent must be answered.
async fn calls(address: SocketAddr, made: &AtomicUsize, wanted: usize) -> u32 {
    let mut calls = 0;
    while made.fetch_add(1, Ordering::Relaxed) < wanted {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        while sender.ready().await.is_ok() {
            let body = Full::new(framed(&prompt("sim: tokens=2 first_event=1ms pace=1ms")));
            let request = http::Request::post("http://server/completiond.v1.CompletionService/Complete")
                .header("content-type", "application/grpc")
                .header("te", "trailers");
            match sender.try_send_request(request.body(body).unwrap()).await {
                Ok(answer) => Events::of(answer).end().await.expect(Code::Ok, "", ""),
                Err(mut error) => match error.take_message() {
                    Some(_) => break,
                    None => panic!("a call that was sent has failed: {:?}", error.into_error()),
                },
            }
            calls += 1;
        }
        drop(sender);
        within("the connection is closed", connection).await.unwrap().unwrap();
    }
    calls
}

#[tokio::test]
async fn connections_rotate_and_no_call_fails() {
    let stage = Stage::with("connections: { max_age: 100ms }").await;
    let made = AtomicUsize::new(0);
    let load = (0..4).map(|_| calls(stage.address(), &made, 60));
    let calls: u32 = within("connections rotate", join_all(load)).await.into_iter().sum();
    println!("{calls} calls over 60 connections");
    assert!(calls > 60);
}

#[tokio::test]
async fn a_stream_outlives_the_age_of_its_connection() {
    let desk = Desk::plain("connections: { max_age: 50ms }\n").await;
    let mut client = desk.client(None);
    let asked = prompt("sim: tokens=50 first_event=1ms pace=20ms");
    let mut events = client.stream_complete(asked).await.unwrap().into_inner();
    let mut last = None;
    while let Some(message) = events.message().await.unwrap() {
        last = message.event;
    }
    assert!(matches!(last, Some(Event::Completed(_))));
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_told_to_go_away_and_one_that_is_used_is_not() {
    let stage = Stage::with("connections: { max_idle: 200ms }").await;
    let (idle, used) = (stage.wire().await, stage.wire().await);
    let mut events = used.stream(&prompt("sim: tokens=40 first_event=1ms pace=20ms"), &[]).await;
    idle.closed().await;
    while events.next().await.is_some() {}
    assert_eq!(events.status().code, Code::Ok);
    used.closed().await;
}
