//! Clients that try again by themselves, when the pool has no strength left for that.

use futures_util::{StreamExt, stream};

use crate::pair::{Pair, Peer};
use crate::support::PROTOCOLS;
use crate::way::{Saw, Way};

/// Far more than the budget holds, at three extra attempts a call.
const CALLS: usize = 200;

async fn again(pair: &Pair, way: Way) -> Saw {
    let mut request = way.request(&pair.upstreams.model());
    request.metadata_mut().insert("grpc-previous-rpc-attempts", "1".parse().unwrap());
    way.send(pair.server.client(), request).await
}

#[tokio::test]
async fn a_clients_own_retry_is_refused_while_the_budget_is_spent_and_asks_nobody() {
    for protocol in PROTOCOLS {
        let pair = Pair::with(protocol, Peer::Drawn, "retry: { base_delay: 0 }").await;
        let model = &pair.upstreams.model();
        for way in Way::ALL {
            assert!(again(&pair, way).await.is_answer(), "with a full budget a retry is a call like any other");
        }
        // Errors of a kind that opens no breaker: only the budget ends the attempts.
        pair.upstreams.a.play_always("error=429");
        pair.upstreams.b.play_always("error=429");
        let failing = stream::iter(0..CALLS).map(|_| Way::Folded.ask(&pair.server, model)).buffer_unordered(20);
        let last = failing.fold(None, async |_, saw| Some(saw)).await.unwrap();
        let Saw::Refusal(failure) = &last else { panic!("{last:?}") };
        assert_eq!(failure.reason, "PROVIDER_RATE_LIMITED");
        let received: usize = pair.upstreams.received().iter().sum();
        println!("{protocol}: {CALLS} calls, {received} requests");
        // The budget's hundred, three a second, and what four successes gave.
        assert!(received < CALLS + 150, "{received} requests");
        refuses_retries(protocol, &pair).await;
    }
}

/// Whatever time has put back is taken first, so that what is looked at is an empty budget.
async fn refuses_retries(protocol: &str, pair: &Pair) {
    for way in Way::ALL {
        let mut refused = None;
        for _ in 0..50 {
            let before = pair.upstreams.received();
            let saw = again(pair, way).await;
            let Saw::Refusal(failure) = saw else { panic!("{saw:?}") };
            if failure.failure().attempts.is_empty() {
                assert_eq!(pair.upstreams.received(), before, "nobody is asked");
                refused = Some(failure);
                break;
            }
        }
        let refused = refused.unwrap_or_else(|| panic!("{protocol} {way:?}: the budget is never spent"));
        assert_eq!(refused.kind(), (tonic::Code::Unavailable, "PROVIDER_UNAVAILABLE"));
        assert_eq!(refused.pushback.as_deref(), Some("-1"), "{protocol} {way:?}");
    }
}
