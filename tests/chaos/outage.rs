//! Both upstreams are down for ten seconds under load, and come back.
//!
//! This is the one story about real time, since the pool's budget and its breakers measure it. Its limits are far from
//! what is usual (about one attempt a call, some milliseconds an answer, at most three seconds to come back), and it
//! judges by counts: a slow machine makes fewer calls, and no more attempts.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::pair::{Pair, Peer};
use crate::support::PROTOCOLS;
use crate::way::{Saw, Way};

const OUTAGE: Duration = Duration::from_secs(10);
/// A hundred calls a second.
const BETWEEN_CALLS: Duration = Duration::from_millis(10);
/// Until here the pool learns that everything is down.
const LEARNING: Duration = Duration::from_secs(1);
/// How long after its return an upstream answers again.
const RETURN: Duration = Duration::from_secs(5);

/// How the upstreams are down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// No connection is made.
    Refused,
    /// Every request is answered with 503.
    Overloaded,
}

/// A call in the outage.
struct Asked {
    /// Since when the upstreams were down.
    after: Duration,
    took: Duration,
    saw: Saw,
}

impl Outage {
    async fn begin(self, pair: &Pair) {
        for upstream in [&pair.upstreams.a, &pair.upstreams.b] {
            match self {
                Self::Refused => upstream.stop().await,
                Self::Overloaded => upstream.play_always("error=503"),
            }
        }
    }

    async fn end(self, pair: &Pair) {
        for upstream in [&pair.upstreams.a, &pair.upstreams.b] {
            match self {
                Self::Refused => upstream.resume().await.unwrap(),
                Self::Overloaded => upstream.play_never(),
            }
        }
    }
}

#[tokio::test]
async fn an_outage_is_not_amplified_and_its_end_is_noticed() {
    let mut stories = JoinSet::new();
    for (protocol, outage) in PROTOCOLS.into_iter().zip([Outage::Refused, Outage::Overloaded]) {
        stories.spawn(endure(protocol, outage));
    }
    stories.join_all().await;
}

async fn endure(protocol: &'static str, outage: Outage) {
    let pair = Arc::new(Pair::with(protocol, Peer::Drawn, "").await);
    let model = pair.upstreams.model();
    assert!(Way::Folded.ask(&pair.server, &model).await.is_answer());
    let before: usize = pair.upstreams.received().iter().sum();
    outage.begin(&pair).await;
    let asked = load(&pair).await;
    let received = pair.upstreams.received().iter().sum::<usize>() - before;
    outage.end(&pair).await;
    let back = Instant::now();
    let mut tries = 1;
    while !Way::Folded.ask(&pair.server, &model).await.is_answer() {
        assert!(back.elapsed() < RETURN, "{outage:?}: nothing is answered {:?} after the return", back.elapsed());
        tries += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{protocol} {outage:?}: an answer {:?} after the return, at call {tries}", back.elapsed());
    judge(outage, &asked, received);
}

/// Asks at a steady rate, in every way in turn, whatever becomes of it.
async fn load(pair: &Arc<Pair>) -> Vec<Asked> {
    let mut pulse = tokio::time::interval(BETWEEN_CALLS);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut ways = Way::ALL.into_iter().cycle();
    while begun.elapsed() < OUTAGE {
        pulse.tick().await;
        let (pair, way) = (Arc::clone(pair), ways.next().unwrap());
        calls.spawn(async move {
            let sent = Instant::now();
            let saw = way.ask(&pair.server, &pair.upstreams.model()).await;
            Asked { after: sent - begun, took: sent.elapsed(), saw }
        });
    }
    calls.join_all().await
}

fn judge(outage: Outage, asked: &[Asked], received: usize) {
    for call in asked {
        assert_eq!(call.saw.kind(), (tonic::Code::Unavailable, "PROVIDER_UNAVAILABLE"), "{outage:?}: {:?}", call.saw);
    }
    let sent: usize = asked.iter().map(|call| call.saw.sent()).sum();
    if outage == Outage::Overloaded {
        assert_eq!(sent, received, "the ledgers tell of every request");
    }
    let late: Vec<_> = asked.iter().filter(|call| call.after > LEARNING).collect();
    let sent_late: usize = late.iter().map(|call| call.saw.sent()).sum();
    assert!(late.len() > 100, "the load was not made");
    let mut took: Vec<_> = late.iter().map(|call| call.took).collect();
    took.sort_unstable();
    let nearly_all = took[took.len() * 99 / 100];
    println!(
        "{outage:?}: {} calls, {sent} attempts; after {LEARNING:?} {} calls, {sent_late} attempts, median {:?}, 99 of 100 within {nearly_all:?}, longest {:?}",
        asked.len(),
        late.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(5 * sent_late <= 6 * late.len(), "{outage:?}: {sent_late} attempts for {} calls", late.len());
    assert!(nearly_all < Duration::from_secs(1), "{outage:?}: answers take {nearly_all:?}");
}
