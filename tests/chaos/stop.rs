//! A server that stops while its calls are in every state that a call behind two upstreams can be in.

use futures_util::future::join_all;
use tokio::time::Instant;
use tonic::Code;

use crate::pair::{Pair, Peer};
use crate::stage::{Events, Wire, seen, within};
use crate::support::PROTOCOLS;
use crate::way::Way;

const CALLS: usize = 200;

/// What A plays, in turn, so that calls wait for it, for B, and for the time to ask again. None of them can end before
/// the grace does, but for those that are answered at once.
const STATES: [&str; 5] = ["", "tokens=200 pace=100ms", "silence", "stall_after=3", "error=503 retry_after=4"];

/// How a call ended: its status, or none where its connection was closed before it was taken.
async fn outcome(head: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>) -> (Code, String) {
    let mut events = Events::of(within("a head comes", head).await.unwrap());
    while events.next_bytes().await.is_some() {}
    let end = events.status();
    (end.code, end.reason)
}

#[tokio::test]
async fn two_hundred_calls_in_all_states_end_within_the_grace() {
    for protocol in PROTOCOLS {
        // Nobody beside A, so that calls also wait for its hints.
        let pair = Pair::with(protocol, Peer::None, "drain_delay: 0\nshutdown_grace: 500ms").await;
        pair.upstreams.a.play((0..CALLS).map(|number| STATES[number % STATES.len()]));
        let wire = Wire::connect(pair.server.address()).await;
        let ways = Way::ALL.into_iter().cycle().take(CALLS);
        let calls: Vec<_> = ways
            .map(|way| {
                let message = way.request(&pair.upstreams.model()).into_inner();
                let method = if way.streams() { "StreamComplete" } else { "Complete" };
                tokio::spawn(outcome(wire.send(method, &message, &[])))
            })
            .collect();
        seen(pair.upstreams.a.requests(), |requests| *requests >= CALLS).await;
        // Those that are answered at once, and the refusals.
        seen(pair.upstreams.a.simulator().counts(), |counts| counts.finished >= 2 * CALLS / STATES.len()).await;
        let (address, a) = (pair.server.address(), pair.upstreams.a);
        let begun = Instant::now();
        within("the server stops", pair.server.into_running().stop()).await;
        println!("{protocol}: stopped after {:?}", begun.elapsed());
        let mut answered = 0;
        for ended in join_all(calls).await {
            match ended.unwrap() {
                (Code::Ok, _) => answered += 1,
                (code, reason) => {
                    assert_eq!((code, reason.as_str()), (Code::Unavailable, "SHUTTING_DOWN"), "{protocol}")
                }
            }
        }
        println!("{protocol}: {answered} of {CALLS} were answered");
        assert!(
            0 < answered && answered < CALLS,
            "{protocol}: some are answered and some outlive the grace: {answered}"
        );
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{protocol}: nobody listens any more");
        seen(a.simulator().counts(), |counts| counts.open == 0).await;
        seen(a.connections(), |open| *open == 0).await;
    }
}
