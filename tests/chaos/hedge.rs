//! A first choice that has become slow, and a second one that is asked beside it.

use crate::pair::{Pair, Peer};
use crate::stage::seen;
use crate::support::PROTOCOLS;
use crate::way::{Saw, Way};

/// How many answers must be known before anything is called late.
const SAMPLES: usize = 20;

#[tokio::test]
async fn a_slow_endpoint_is_overtaken_by_one_that_is_asked_beside_it_and_the_slow_request_is_dropped() {
    for protocol in PROTOCOLS {
        for way in Way::ALL {
            let pair = Pair::of_models(protocol, Peer::Next, "", "hedge: { max_share: 1 }").await;
            let model = &pair.upstreams.model();
            for _ in 0..SAMPLES {
                assert!(way.ask(&pair.server, model).await.is_answer());
            }
            assert_eq!(pair.upstreams.received(), [SAMPLES, 0], "who is quick is not overtaken");
            // Far slower than the call may be: that there is an answer shows who gave it.
            pair.upstreams.a.play_always("head=1m");
            let saw = way.ask(&pair.server, model).await;
            assert!(saw.is_answer(), "{protocol} {way:?}: {saw:?}");
            let Saw::Answer { outcome, restarts, .. } = &saw else { panic!("{saw:?}") };
            assert_eq!((outcome.provider.as_str(), *restarts), ("b0", 0), "{protocol} {way:?}");
            // They stand in the order in which they ended, and that is chance.
            let mut lines = saw.lines();
            lines.sort();
            assert_eq!(lines, ["a0/x DROPPED", "b0/x FINISHED"], "{protocol} {way:?}");
            assert_eq!(pair.upstreams.received(), [SAMPLES + 1, 1]);
            let counts = seen(pair.upstreams.a.simulator().counts(), |counts| counts.open == 0).await;
            assert_eq!(counts.dropped, 1, "{protocol} {way:?}");
        }
    }
}
