//! What providers say about their rate limits, and whom new calls prefer.

use crate::pair::{Pair, Peer};
use crate::support::PROTOCOLS;
use crate::way::Way;

const CALLS: usize = 40;

#[tokio::test]
async fn an_endpoint_that_is_nearly_at_its_limit_is_spared_while_another_is_not() {
    for protocol in PROTOCOLS {
        for way in Way::ALL {
            // A is preferred by a weight of a billion to one.
            let pair = Pair::with(protocol, Peer::Equal, "").await;
            let model = &pair.upstreams.model();
            assert!(way.ask(&pair.server, model).await.is_answer());
            assert_eq!(pair.upstreams.received(), [1, 0], "A is the first choice");
            pair.upstreams.a.play(["left=1"]);
            assert!(way.ask(&pair.server, model).await.is_answer());
            assert_eq!(pair.upstreams.received(), [2, 0]);
            for _ in 0..CALLS {
                assert!(way.ask(&pair.server, model).await.is_answer());
            }
            assert_eq!(pair.upstreams.received(), [2, CALLS], "{protocol} {way:?}");
            // Nearly used up is not used up: when B is down A still answers.
            pair.upstreams.b.play_always("error=503");
            assert!(way.ask(&pair.server, model).await.is_answer());
            assert_eq!(pair.upstreams.received(), [3, CALLS + 1], "{protocol} {way:?}");
        }
    }
}
