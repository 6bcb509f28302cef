//! How long connections last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::stream_complete_response::Event;
use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::desk::Desk;
use crate::stage::{Stage, prompt, within};

/// A channel that counts the connections it makes.
fn counted(stage: &Stage) -> (Channel, Arc<AtomicUsize>) {
    let (made, address) = (Arc::new(AtomicUsize::new(0)), stage.address());
    let counting = Arc::clone(&made);
    let connect = move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
        async move { TcpStream::connect(address).await.map(TokioIo::new) }
    };
    (Endpoint::from_static("http://server").connect_with_connector_lazy(tower::service_fn(connect)), made)
}

#[tokio::test]
async fn connections_rotate_and_no_call_fails() {
    let stage = Stage::with("connections: { max_age: 100ms }").await;
    let (channel, made) = counted(&stage);
    let load = (0..4).map(|_| async {
        let mut client = CompletionServiceClient::new(channel.clone());
        let mut calls = 0_u32;
        while made.load(Ordering::Relaxed) < 20 {
            client.complete(prompt("sim: tokens=2 first_event=1ms pace=1ms")).await.unwrap();
            calls += 1;
        }
        calls
    });
    let calls: u32 = within("connections rotate", join_all(load)).await.into_iter().sum();
    println!("{calls} calls over {} connections", made.load(Ordering::Relaxed));
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
