//! A caller's deadline, and a first choice that says nothing.

use std::time::Duration;

use completiond::proto::stream_complete_response::Event;
use completiond::proto::{CompleteResponse, CompletionOutcome};
use prost::Message;
use tokio::time::Instant;
use tonic::Code;

use crate::pair::{Pair, Peer};
use crate::stage::{Events, Wire, within};
use crate::support::PROTOCOLS;
use crate::way::Way;

const PATIENCE: Duration = Duration::from_secs(3);
/// What the client says, and nothing that the client does: the status must be the server's own.
const DEADLINE: (&str, &str) = ("grpc-timeout", "3S");

/// A call with the deadline: how it ended, and its outcome if it was answered.
async fn ask(pair: &Pair, way: Way) -> (Code, String, Option<CompletionOutcome>) {
    let wire = Wire::connect(pair.server.address()).await;
    let message = way.request(&pair.upstreams.model()).into_inner();
    let method = if way.streams() { "StreamComplete" } else { "Complete" };
    let head = within("a head comes", wire.send(method, &message, &[DEADLINE])).await.unwrap();
    let mut events = Events::of(head);
    let outcome = if way.streams() {
        events.all(0).await.pop().map(|event| match event {
            Event::Completed(outcome) => outcome,
            other => panic!("the last event is {other:?}"),
        })
    } else {
        let answer = events.next_bytes().await;
        answer.and_then(|bytes| {
            assert!(CompleteResponse::decode(&*bytes).unwrap().text.starts_with("an answer"));
            CompleteResponse::decode(bytes).unwrap().outcome
        })
    };
    while events.next_bytes().await.is_some() {}
    let end = events.status();
    (end.code, end.reason, outcome.map(|outcome| *outcome))
}

#[tokio::test]
async fn a_silent_first_choice_leaves_the_second_time_to_answer() {
    for protocol in PROTOCOLS {
        for peer in [Peer::Next, Peer::Equal] {
            let calls = Way::ALL.map(async |way| {
                let pair = Pair::with(protocol, peer, "").await;
                pair.upstreams.a.play_always("silence");
                let begun = Instant::now();
                let (code, _, outcome) = ask(&pair, way).await;
                println!("{protocol:<10} {way:<8?} B: {peer:<6?} {code:?} after {:?}", begun.elapsed());
                assert_eq!(code, Code::Ok, "{protocol} {way:?} {peer:?}");
                assert_eq!(outcome.unwrap().provider, "b0");
                assert_eq!(pair.upstreams.received(), [1, 1]);
            });
            futures_util::future::join_all(calls).await;
        }
    }
}

#[tokio::test]
async fn with_nobody_well_the_deadline_is_told_by_the_server_itself() {
    let silent = |protocol| async move {
        let calls = Way::ALL.into_iter().flat_map(|way| [Peer::Next, Peer::Equal, Peer::None].map(|peer| (way, peer)));
        let calls = calls.map(async |(way, peer)| {
            let pair = Pair::with(protocol, peer, "").await;
            pair.upstreams.a.play_always("silence");
            pair.upstreams.b.play_always("silence");
            let begun = Instant::now();
            let (code, reason, _) = ask(&pair, way).await;
            println!("{protocol:<10} {way:<8?} B: {peer:<6?} {reason} after {:?}", begun.elapsed());
            assert_eq!(code, Code::DeadlineExceeded, "{protocol} {way:?} {peer:?}");
            assert!(begun.elapsed() < 3 * PATIENCE, "{protocol} {way:?} {peer:?}: {:?}", begun.elapsed());
            assert!(["DEADLINE_EXCEEDED", "PROVIDER_TIMEOUT"].contains(&reason.as_str()), "{reason}");
            // Nobody works on for a caller that has gone.
            for upstream in [&pair.upstreams.a, &pair.upstreams.b] {
                crate::stage::seen(upstream.simulator().counts(), |counts| counts.open == 0).await;
            }
        });
        futures_util::future::join_all(calls).await;
    };
    futures_util::future::join_all(PROTOCOLS.map(silent)).await;
}
