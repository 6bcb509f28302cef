//! Plays the table.
use std::time::Instant;

use crate::pair::{MODEL, Pair, Peer};
use crate::support::PROTOCOLS;
use crate::way::Way;

#[tokio::test]
async fn explore() {
    for protocol in PROTOCOLS {
        for script in ["", "error=429", "error=429 retry_after=1", "error=500", "error=503", "error=529", "reset_before_head", "reset_after=6", "cut_after=6", "stall_after=6", "silence", "first_event=300ms", "malformed_after=6", "malformed_after=0", "no_end", "html=200","html=502", "error_body_200", "error_after=6", "endless_after=6"] {
            for way in Way::ALL {
                for peer in [Peer::Equal, Peer::Next, Peer::None] {
                    let begun = Instant::now();
                    let pair = Pair::with(protocol, peer, "retry: { base_delay: 1ms }\ntimeouts: { connect: 500ms, first_event: 500ms, idle: 500ms, attempt: 500ms }").await;
                    let set = begun.elapsed();
                    let begun = Instant::now();
                    pair.a.play([script; 8]);
                    let saw = way.ask(&pair.server, MODEL).await;
                    println!("{protocol} {script} {way:?} {peer:?}: {saw} {:?} {:?} {:?} {:?}", pair.received(), saw.lines(), begun.elapsed(), set);
                }
            }
        }
    }
}
